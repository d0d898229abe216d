use std::collections::HashMap;

/// Gives each destination a stem that no other has, also where file names do not tell upper case from lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    taken: HashMap<String, u32>,
}

impl Names {
    /// The stem for `name`: the name itself for the first of its spelling, `name-2`, `name-3`, … for those that differ in
    /// case only. Resource types hold no digit and no hyphen, so these clash with nothing.
    pub(crate) fn stem(&mut self, name: &str) -> String {
        let count = self.taken.entry(name.to_ascii_lowercase()).or_insert(0);
        *count += 1;
        match *count {
            1 => name.to_owned(),
            number => format!("{name}-{number}"),
        }
    }
}

/// The name of part `number` (from 1): `Patient.ndjson`, `Patient.0002.ndjson`, with the suffix of the encoding.
pub(crate) fn part_name(stem: &str, number: usize, suffix: &str) -> String {
    match number {
        1 => format!("{stem}.ndjson{suffix}"),
        _ => format!("{stem}.{number:04}.ndjson{suffix}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_differ_in_case_do_not_collide() {
        let mut names = Names::default();
        let stems = ["Patient", "PATIENT", "Goal", "PaTient"].map(|name| names.stem(name));
        assert_eq!(stems, ["Patient", "PATIENT-2", "Goal", "PaTient-3"]);
    }

    #[test]
    fn later_parts_are_numbered() {
        assert_eq!(part_name("Goal", 1, ""), "Goal.ndjson");
        assert_eq!(part_name("Goal", 2, ".gz"), "Goal.0002.ndjson.gz");
        assert_eq!(part_name("Goal", 12345, ""), "Goal.12345.ndjson");
    }
}
