//! `models EXPORT...`: how many patients there are of each gender, in the types of the crate `fhir-model`.

use std::collections::BTreeMap;
use std::error::Error;

use fhir_model::r4b::resources::Patient;
use fhirline::{Job, JobError, Report, ResourceType, Selection};

/// Patients by gender, and what is no patient by the rules of FHIR R4B.
#[derive(Debug, Default, PartialEq, Eq)]
struct Patients {
    by_gender: BTreeMap<String, u64>,
    others: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (patients, report) = counted(Job::new(std::env::args_os().skip(1))?)?;
    println!("{patients:?}: {}", report.status);
    Ok(())
}

fn counted(job: Job) -> Result<(Patients, Report), JobError> {
    let only = ResourceType::new("Patient").into_iter().collect();
    let mut batches = job.select(Selection { only, ..Selection::default() }).batches()?;
    let mut patients = Patients::default();
    for batch in &mut batches {
        for resource in batch?.resources() {
            // What breaks the rules of FHIR is a sound record all the same: what becomes of it is the caller's decision.
            match resource.json::<Patient>() {
                Ok(patient) => *patients.by_gender.entry(gender_of(&patient)).or_insert(0) += 1,
                Err(_) => patients.others += 1,
            }
        }
    }
    Ok((patients, batches.finish()?))
}

fn gender_of(patient: &Patient) -> String {
    patient
        .gender
        .as_ref()
        .map_or_else(|| "not told".to_owned(), |gender| format!("{gender:?}").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patients_of_an_export_are_counted() {
        let export = std::env::temp_dir().join(format!("fhirline-models-{}.ndjson", std::process::id()));
        let records = r#"{"resourceType":"Patient","gender":"female"}
{"resourceType":"Patient","id":"1","birthDate":"1980-02-29","gender":"male"}
{"resourceType":"Observation","gender":"male"}
{"resourceType":"Patient","gender":["no code"]}
{"resourceType":"Patient"}
"#;
        std::fs::write(&export, records).expect("written");
        let counted = counted(Job::new([&export]).expect("a source"));
        std::fs::remove_file(&export).expect("there");
        let (patients, report) = counted.expect("sound");
        let genders = [("female", 1), ("male", 1), ("not told", 1)].map(|(of, count)| (of.to_owned(), count));
        assert_eq!(patients, Patients { by_gender: genders.into(), others: 1 });
        assert_eq!(report.account.ledger.records.filtered, 1);
    }
}
