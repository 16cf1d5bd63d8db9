//! Moments to a GIF.
//!
//! A moment is kept as the part of the picture that has changed since the one before, and a pixel as the number of its color:
//! what hardly moves takes hardly any room, in memory and in the file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::checkpoint::write_whole;
use crate::env::raster::Picture;
use crate::env::{Color, Drawing, Environment};

/// How wide pictures are, in pixels.
const WIDTH: usize = 320;

const GROUND: Color = [255, 255, 255];

/// A moment is shown at least so long, in seconds: programs that show GIFs slow shorter ones down.
const LEAST: f64 = 0.03;

/// The last moment is shown so long, in hundredths of a second.
const REST: u16 = 100;

/// Colors that a GIF's table holds.
const TABLE: usize = 256;

/// Why a video is not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VideoError {
    /// There is something already.
    #[error("{}: there is something already; choose another name, or give --force to replace it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Nothing was taken.
    #[error("{}: the video has no pictures", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{}: the video cannot be written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What has changed: a part of the picture, each pixel the number of its color.
struct Change {
    left: usize,
    top: usize,
    width: usize,
    pixels: Vec<u32>,
    /// Hundredths of a second.
    shown: u16,
}

/// An episode in pictures.
#[derive(Default)]
pub struct Video {
    colors: Vec<Color>,
    numbers: HashMap<Color, u32>,
    /// How often each color was seen.
    seen: Vec<u64>,
    last: Vec<u32>,
    size: [usize; 2],
    changes: Vec<Change>,
    /// What they take.
    bytes: u64,
    /// Moments that were shown to it.
    moments: u64,
}

impl Video {
    /// Takes a moment. Where an environment's steps are short, only every so many become pictures.
    pub fn take(&mut self, drawing: &Drawing) {
        let seconds = drawing.seconds.max(1e-3);
        let stride = (LEAST / seconds - 1e-6).ceil().max(1.0);
        let due = self.moments.is_multiple_of(stride as u64);
        self.moments += 1;
        if due {
            let shown = (stride * seconds * 100.0).round().clamp(2.0, 6000.0) as u16;
            self.add(&Picture::of(drawing, WIDTH, GROUND), shown);
        }
    }

    /// Takes a moment of an environment, where that can be drawn.
    pub fn take_of(&mut self, environment: &dyn Environment) {
        if let Some(drawing) = environment.drawing() {
            self.take(&drawing);
        }
    }

    /// The bytes that its pictures take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many pictures there are.
    pub fn pictures(&self) -> usize {
        self.changes.len()
    }

    fn add(&mut self, picture: &Picture, shown: u16) {
        let numbers: Vec<u32> = picture.pixels.iter().map(|it| self.number(*it)).collect();
        let size = [picture.width, picture.height];
        let first = self.last.is_empty() || size != self.size;
        let (mut columns, mut rows) = ((usize::MAX, 0), (usize::MAX, 0));
        for (place, number) in numbers.iter().enumerate() {
            if first || self.last[place] != *number {
                let (x, y) = (place % picture.width, place / picture.width);
                columns = (columns.0.min(x), columns.1.max(x));
                rows = (rows.0.min(y), rows.1.max(y));
            }
        }
        if columns.0 == usize::MAX {
            // Nothing has moved: one pixel, to pass the time.
            (columns, rows) = ((0, 0), (0, 0));
        }
        let width = columns.1 - columns.0 + 1;
        let mut pixels = Vec::with_capacity(width * (rows.1 - rows.0 + 1));
        for y in rows.0..=rows.1 {
            pixels.extend(&numbers[y * picture.width + columns.0..][..width]);
        }
        self.bytes += 4 * pixels.len() as u64;
        self.changes.push(Change {
            left: columns.0,
            top: rows.0,
            width,
            pixels,
            shown,
        });
        (self.last, self.size) = (numbers, size);
    }

    fn number(&mut self, color: Color) -> u32 {
        let next = self.colors.len() as u32;
        let number = *self.numbers.entry(color).or_insert(next);
        if number == next {
            self.colors.push(color);
            self.seen.push(0);
        }
        self.seen[number as usize] += 1;
        number
    }

    /// Writes the video, whole or not at all.
    ///
    /// # Errors
    /// Something is there and `force` is not given, the video is empty, or the system refuses.
    pub fn write(&self, path: &Path, force: bool) -> Result<(), VideoError> {
        let io = |source| VideoError::Io {
            path: path.to_path_buf(),
            source,
        };
        if self.changes.is_empty() {
            return Err(VideoError::Empty {
                path: path.to_path_buf(),
            });
        }
        let written = write_whole(path, force, |file| self.encode(BufWriter::new(file)));
        written.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => VideoError::Exists {
                path: path.to_path_buf(),
            },
            _ => io(error),
        })
    }

    fn encode(&self, mut out: impl Write) -> io::Result<()> {
        let (table, places) = self.table();
        let table: Vec<u8> = table.concat();
        let size = |value: usize| u16::try_from(value).map_err(io::Error::other);
        let [width, height] = self.size;
        let mut encoder = gif::Encoder::new(&mut out, size(width)?, size(height)?, &table)
            .map_err(io::Error::other)?;
        encoder
            .set_repeat(gif::Repeat::Infinite)
            .map_err(io::Error::other)?;
        for (index, change) in self.changes.iter().enumerate() {
            let pixels = change.pixels.iter().map(|it| places[*it as usize]);
            let pixels: Vec<u8> = pixels.collect();
            let is_last = index + 1 == self.changes.len();
            let frame = gif::Frame {
                left: size(change.left)?,
                top: size(change.top)?,
                width: size(change.width)?,
                height: size(pixels.len() / change.width)?,
                delay: if is_last { REST } else { change.shown },
                dispose: gif::DisposalMethod::Keep,
                buffer: Cow::Owned(pixels),
                ..gif::Frame::default()
            };
            encoder.write_frame(&frame).map_err(io::Error::other)?;
        }
        drop(encoder);
        out.flush()
    }

    /// The GIF's table, and the place in it of each color: the most frequent ones, and for the rest the nearest of those.
    fn table(&self) -> (Vec<Color>, Vec<u8>) {
        let mut order: Vec<usize> = (0..self.colors.len()).collect();
        order.sort_by_key(|number| (std::cmp::Reverse(self.seen[*number]), *number));
        order.truncate(TABLE);
        let table: Vec<Color> = order.iter().map(|number| self.colors[*number]).collect();
        let apart = |a: &Color, b: &Color| -> u32 {
            let pairs = a.iter().zip(b);
            pairs.map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum()
        };
        let nearest = |color: &Color| {
            let places = 0..table.len();
            let best = places.min_by_key(|place| apart(&table[*place], color));
            best.unwrap_or(0) as u8
        };
        let places = self.colors.iter().map(nearest).collect();
        (table, places)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::env::registry;

    fn episode(name: &str, steps: usize) -> Video {
        let mut environment: Box<dyn Environment> = registry::make(name).unwrap();
        let mut observation = vec![0.0; environment.observation_space().size()];
        let action = vec![0.0; environment.action_space().size()];
        environment.reset(Some(1), &mut observation).unwrap();
        let mut video = Video::default();
        video.take(&environment.drawing().unwrap());
        for _ in 0..steps {
            environment.step(&action, &mut observation).unwrap();
            video.take(&environment.drawing().unwrap());
        }
        video
    }

    /// What a GIF shows at its end, and how many pictures lead there.
    fn shown(path: &Path) -> (Vec<Color>, usize, u64) {
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(fs::File::open(path).unwrap()).unwrap();
        let width = usize::from(decoder.width());
        let mut screen = vec![[0; 3]; width * usize::from(decoder.height())];
        let (mut pictures, mut time) = (0, 0);
        while let Some(frame) = decoder.read_next_frame().unwrap() {
            let (left, top) = (usize::from(frame.left), usize::from(frame.top));
            for (place, pixel) in frame.buffer.chunks(4).enumerate() {
                let (x, y) = (
                    place % usize::from(frame.width),
                    place / usize::from(frame.width),
                );
                screen[(top + y) * width + left + x] = [pixel[0], pixel[1], pixel[2]];
            }
            pictures += 1;
            time += u64::from(frame.delay);
        }
        (screen, pictures, time)
    }

    #[test]
    fn a_gif_shows_the_last_moment_exactly_after_the_right_time() {
        let folder = tempfile::tempdir().unwrap();
        for name in registry::names() {
            if let Err(error) = registry::check(name) {
                eprintln!("skipped {name}: {error}");
                continue;
            }
            let video = episode(name, 8);
            let path = folder.path().join(format!("{name}.gif"));
            video.write(&path, false).unwrap();
            let (screen, pictures, time) = shown(&path);
            assert_eq!(pictures, video.pictures());
            let last = video.last.iter().map(|it| video.colors[*it as usize]);
            assert!(screen.iter().copied().eq(last), "{name}");
            let each = u64::from(video.changes[0].shown);
            assert_eq!(time, (pictures as u64 - 1) * each + 100);
            assert!(screen.iter().any(|it| *it != GROUND), "{name}");
        }
    }

    #[test]
    fn short_steps_are_taken_every_so_many_times() {
        // 0.02 s a step and 0.05 s a step.
        assert_eq!(episode("CartPole-v1", 8).pictures(), 5);
        assert_eq!(episode("Pendulum-v1", 8).pictures(), 9);
    }

    #[test]
    fn a_file_that_is_there_stays_unless_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("video.gif");
        fs::write(&path, "mine").unwrap();
        let video = episode("Pendulum-v1", 2);
        let error = video.write(&path, false).unwrap_err();
        assert!(error.to_string().contains("--force"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        video.write(&path, true).unwrap();
        assert!(fs::read(&path).unwrap().starts_with(b"GIF89a"));
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no draft is left"
        );
        let nowhere = folder.path().join("no/such/folder.gif");
        assert!(matches!(
            video.write(&nowhere, false),
            Err(VideoError::Io { .. })
        ));
        let empty = Video::default().write(&nowhere, false);
        assert!(matches!(empty, Err(VideoError::Empty { .. })));
    }

    #[test]
    fn too_many_colors_are_drawn_with_the_nearest() {
        let mut video = Video::default();
        let pixels: Vec<Color> = (0..600)
            .map(|it| [(it / 3) as u8, (it % 3) as u8, 0])
            .collect();
        let picture = Picture {
            width: 600,
            height: 1,
            pixels: pixels.clone(),
        };
        video.add(&picture, 5);
        let (table, places) = video.table();
        assert_eq!(table.len(), 256);
        for (number, color) in video.colors.iter().enumerate().take(300) {
            let found = table[usize::from(places[number])];
            assert!(found[0].abs_diff(color[0]) <= 120, "{found:?} {color:?}");
        }
        assert_eq!(table[usize::from(places[0])], [0, 0, 0]);
    }
}
