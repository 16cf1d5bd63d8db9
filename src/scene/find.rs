//! Finds a value of a type among settings, whatever holds it.

use bevy_reflect::{PartialReflect, Reflect, ReflectRef};

use super::choice::content;

/// What `look` says of the first `T` at `path` or below of which it says anything, with that one's path, such as `Bc.actor.encoder`.
pub(crate) fn find<T: Reflect, R>(
    value: &dyn PartialReflect,
    path: &str,
    look: &dyn Fn(&T) -> Option<R>,
) -> Option<(String, R)> {
    if let Some(said) = value.try_downcast_ref::<T>().and_then(look) {
        return Some((path.to_owned(), said));
    }
    if let Some((_, content)) = content(value) {
        return find(content.as_partial_reflect(), path, look);
    }
    match value.reflect_ref() {
        ReflectRef::Struct(fields) => (0..fields.field_len()).find_map(|index| {
            let path = format!("{path}.{}", fields.name_at(index)?);
            find(fields.field_at(index)?, &path, look)
        }),
        ReflectRef::List(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(index, item)| find(item, &format!("{path}[{index}]"), look))
        }
        // What an `Option` or a variant holds without a name has the place of the whole.
        ReflectRef::Enum(variant) => variant.iter_fields().find_map(|field| {
            let path = match field.name() {
                Some(name) => format!("{path}.{name}"),
                None => path.to_owned(),
            };
            find(field.value(), &path, look)
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Reflect)]
    struct Wanted(u32);

    #[derive(Reflect)]
    struct Holder {
        number: u32,
        none: Option<Wanted>,
        list: Vec<Wanted>,
        some: Option<Wanted>,
    }

    #[test]
    fn the_first_of_which_anything_is_said_is_found_with_its_path() {
        let mut holder = Holder {
            number: 7,
            none: None,
            list: vec![Wanted(0), Wanted(7)],
            some: Some(Wanted(7)),
        };
        let found = |holder: &Holder| {
            let look = |wanted: &Wanted| (wanted.0 == holder.number).then_some(wanted.0 + 1);
            find(holder, "Mine", &look)
        };
        assert_eq!(found(&holder), Some(("Mine.list[1]".to_owned(), 8)));
        holder.list.pop();
        assert_eq!(found(&holder), Some(("Mine.some".to_owned(), 8)));
        holder.some = None;
        assert_eq!(found(&holder), None);
    }
}
