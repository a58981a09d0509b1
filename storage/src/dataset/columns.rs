//! Which columns of a table are read.

use super::source::Columns;
use crate::error::{Error, Result};

const NAMES_LISTED_MAX: usize = 20;

/// The places of the chosen columns among `all`, in the order in which they are wanted.
///
/// # Errors
/// [`Error::Input`] for a name that is not there (with the nearest one that is), that is there
/// more than once or is asked for twice, and for a choice of no column.
pub(crate) fn choose(file: &str, columns: &Columns, all: &[String]) -> Result<Vec<usize>> {
    let find = |name: &String| {
        let mut places = (0..all.len()).filter(|place| &all[*place] == name);
        match (places.next(), places.next()) {
            (Some(place), None) => Ok(place),
            (Some(_), Some(_)) => {
                Err(Error::Input(format!("{file}: more than one column is called `{name}`; rename one")))
            }
            (None, _) => Err(unknown(file, name, all)),
        }
    };
    let places = match columns {
        Columns::All => (0..all.len()).collect(),
        Columns::Named(names) => names.iter().map(find).collect::<Result<Vec<_>>>()?,
        Columns::AllBut(names) => {
            let out = names.iter().map(find).collect::<Result<Vec<_>>>()?;
            (0..all.len()).filter(|place| !out.contains(place)).collect()
        }
    };
    if let Some(twice) = (1..places.len()).find(|at| places[..*at].contains(&places[*at])) {
        return Err(Error::Input(format!("{file}: column `{}` is asked for twice", all[places[twice]])));
    }
    if places.is_empty() {
        return Err(Error::Input(format!("{file}: no column is left to read; it has {}", list(all))));
    }
    Ok(places)
}

fn unknown(file: &str, name: &str, all: &[String]) -> Error {
    let near = |other: &&String| (1000.0 * strsim::jaro_winkler(name, other)) as u32;
    let nearest = all.iter().max_by_key(near).filter(|other| near(other) > 600);
    let all = list(all);
    Error::Input(match nearest {
        Some(other) => format!("{file}: no column `{name}`; did you mean `{other}`? It has {all}"),
        None => format!("{file}: no column `{name}`; it has {all}"),
    })
}

fn list(all: &[String]) -> String {
    let shown = all.iter().take(NAMES_LISTED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match all.len().checked_sub(NAMES_LISTED_MAX) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ if all.is_empty() => "no columns".to_owned(),
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<String> {
        ["age", "height", "label"].map(str::to_owned).to_vec()
    }

    fn named(names: &[&str]) -> Columns {
        Columns::Named(names.iter().map(|n| (*n).to_owned()).collect())
    }

    #[test]
    fn choices_keep_the_order_asked_for() {
        assert_eq!(choose("t", &Columns::All, &all()).unwrap(), [0, 1, 2]);
        assert_eq!(choose("t", &named(&["label", "age"]), &all()).unwrap(), [2, 0]);
        assert_eq!(choose("t", &Columns::AllBut(vec!["height".into()]), &all()).unwrap(), [0, 2]);
    }

    #[test]
    fn bad_choices_say_what_there_is() {
        let text = |columns| choose("t.csv", &columns, &all()).unwrap_err().to_string();
        assert_eq!(
            text(named(&["hieght"])),
            "t.csv: no column `hieght`; did you mean `height`? It has age, height, label"
        );
        assert_eq!(text(named(&["zzz"])), "t.csv: no column `zzz`; it has age, height, label");
        assert!(text(named(&["age", "age"])).contains("twice"));
        assert!(text(Columns::AllBut(all())).contains("no column is left"));
    }
}
