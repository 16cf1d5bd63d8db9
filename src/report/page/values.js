'use strict';
// Over a chart: a line at the step nearest to the pointer, and the value of each curve there. The arrow keys move it.
for (const figure of document.querySelectorAll('figure.chart')) {
  const svg = figure.querySelector('svg');
  const data = figure.querySelector('script');
  if (!svg || !data) continue;
  const { field: [top, bottom], curves } = JSON.parse(data.textContent);
  const places = new Map();
  for (const curve of curves) for (const [step, across] of curve.points) places.set(step, across);
  const steps = [...places].sort((a, b) => a[0] - b[0]);
  if (!steps.length) continue;

  const element = (name, attributes, text) => {
    const made = document.createElement(name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (text) made.textContent = text;
    return made;
  };
  const drawn = (name, attributes) => {
    const made = document.createElementNS(svg.namespaceURI, name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    return made;
  };
  const box = element('div', { class: 'values', role: 'status' });
  box.hidden = true;
  figure.append(box);
  const overlay = drawn('g', { class: 'pointer' });
  svg.append(overlay);
  let shown = -1;

  const nearest = (points, at, value) => {
    let best = 0;
    for (let i = 1; i < points.length; i++) {
      if (Math.abs(at(points[i]) - value) < Math.abs(at(points[best]) - value)) best = i;
    }
    return best;
  };
  const number = (step) => step.toLocaleString('en-US');

  const show = (index) => {
    index = Math.min(Math.max(index, 0), steps.length - 1);
    if (index === shown) return;
    shown = index;
    const [step, across] = steps[index];
    overlay.replaceChildren(drawn('line', { x1: across, x2: across, y1: top, y2: bottom }));
    box.replaceChildren(element('div', { class: 'step' }, 'step ' + number(step)));
    for (const curve of curves) {
      const [at, x, y, text] = curve.points[nearest(curve.points, (point) => point[0], step)];
      overlay.append(drawn('circle', { cx: x, cy: y, r: 45, fill: curve.color }));
      const row = element('div');
      row.append(element('i', { style: 'background:' + curve.color }), element('b', {}, text));
      if (curves.length > 1) row.append(element('span', {}, curve.label));
      if (curve.runs > 1) row.append(element('span', { class: 'runs' }, curve.runs + ' runs'));
      // Another curve may have been reported at other steps.
      if (at !== step) row.append(element('span', {}, 'at step ' + number(at)));
      box.append(row);
    }
    box.hidden = false;
    const width = svg.viewBox.baseVal.width;
    const height = svg.viewBox.baseVal.height;
    const side = across / width < 0.5 ? 'left' : 'right';
    const away = (side === 'left' ? across / width : 1 - across / width) * 100;
    box.style.left = box.style.right = 'auto';
    box.style[side] = 'calc(' + away + '% + 10px)';
    box.style.top = (top / height) * 100 + '%';
  };
  const hide = () => {
    shown = -1;
    box.hidden = true;
    overlay.replaceChildren();
  };
  const follow = (event) => {
    const frame = svg.getBoundingClientRect();
    const across = ((event.clientX - frame.left) * svg.viewBox.baseVal.width) / frame.width;
    show(nearest(steps, (place) => place[1], across));
  };
  svg.addEventListener('pointermove', follow);
  svg.addEventListener('pointerdown', follow);
  figure.addEventListener('pointerleave', hide);
  figure.addEventListener('blur', hide);
  figure.addEventListener('keydown', (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    show(shown < 0 ? (by > 0 ? 0 : steps.length - 1) : shown + by);
  });
}
