use std::collections::BTreeSet;

use fhirline::{Filter, Job, JobError, Resource, Selection, SplitJob};

use crate::support::{Counted, PRETTY, export, pour, split};

/// Keeps a resource if its position is even: what is kept is then known to whoever knows the positions.
#[derive(Debug)]
struct EvenLines;

impl Filter for EvenLines {
    fn name(&self) -> String {
        "even lines".into()
    }

    fn keeps(&self, resource: &Resource<'_>) -> bool {
        resource.position().line.is_multiple_of(2)
    }
}

/// Keeps what has an id in a list.
#[derive(Debug)]
struct Ids(BTreeSet<&'static str>);

impl Filter for Ids {
    fn name(&self) -> String {
        format!("{} ids", self.0.len())
    }

    fn keeps(&self, resource: &Resource<'_>) -> bool {
        resource.id().ok().flatten().is_some_and(|id| self.0.contains(&*id))
    }
}

#[test]
fn a_filter_keeps_what_it_says_and_all_else_is_counted() {
    let source = Counted::new(export(19, 5 << 20), 1);
    let mut wanted = crate::support::Outputs::new();
    let (mut kept, mut left_out) = (0, 0);
    for batch in source.job().batches().expect("enough memory") {
        let batch = batch.expect("sound");
        for resource in batch.resources() {
            let keeps = EvenLines.keeps(&resource);
            (kept, left_out) = (kept + u64::from(keeps), left_out + u64::from(!keeps));
        }
        pour(&batch, &mut wanted);
    }
    for threads in [1, 3] {
        let job = source.job().threads(threads).filter(EvenLines);
        let mut batches = job.batches().expect("enough memory");
        for batch in &mut batches {
            let batch = batch.expect("sound");
            assert!(batch.resources().all(|resource| resource.position().line.is_multiple_of(2)));
        }
        let records = batches.finish().expect("a run").account.ledger.records;
        assert_eq!((records.delivered, records.filtered), (kept, left_out));
    }
    let filtered = split(source.job().filter(EvenLines));
    assert_eq!(filtered.get("_quarantine/lines.raw"), wanted.get("_quarantine/lines.raw"), "rejects stay");
    assert_eq!(filtered.get("_entries.ndjson"), wanted.get("_entries.ndjson"), "what is no resource stays");
}

#[test]
fn a_resource_too_long_to_be_held_is_filtered_too() {
    let source = Counted::new(export(23, 1 << 20), 1);
    let of_binaries = |job: Job| {
        let only = Selection {
            only: fhirline::ResourceType::new("Binary").into_iter().collect(),
            ..Selection::default()
        };
        let report = job.select(only).to(fhirline::Output::Stats).run().expect("a run");
        report
            .account
            .types
            .iter()
            .find(|of| of.resource_type == "Binary")
            .map(|of| (of.records, of.filtered))
    };
    let (all, none) = of_binaries(source.job()).expect("there are binaries");
    assert!(all > 0 && none == 0);
    let nobody = Ids(BTreeSet::new());
    assert_eq!(of_binaries(source.job().filter(nobody)), Some((0, all)));
}

#[test]
fn a_filter_sees_resources_of_bundles_on_one_line() {
    let source = Counted::new(PRETTY.to_vec(), 1);
    for (keep, file) in [("a", "Goal.ndjson"), ("b", "Patient.ndjson")] {
        let outputs = split(source.job().filter(Ids([keep].into())));
        let names: Vec<_> = outputs.keys().filter(|name| !name.starts_with('_')).cloned().collect();
        assert_eq!(names, [file]);
    }
}

#[test]
fn of_several_filters_each_has_to_keep_a_resource() {
    let source = Counted::new(PRETTY.to_vec(), 1);
    let delivered =
        |job: Job| job.to(fhirline::Output::Stats).run().expect("a run").account.ledger.records.delivered;
    assert_eq!(delivered(source.job().filter(Ids(["a"].into()))), 1);
    assert_eq!(delivered(source.job().filter(Ids(["a", "b"].into())).filter(Ids(["b"].into()))), 1);
    assert_eq!(delivered(source.job().filter(Ids(["a"].into())).filter(Ids(["b"].into()))), 0);
}

#[test]
fn what_is_shown_of_a_job_holds_no_list_of_patients() {
    let job = Job::new(["https://example.org/a?canary-1"]);
    let job = job.or_else(|_| Job::new(["a"])).expect("a source").filter(Ids(["canary-2"].into()));
    let shown = format!("{job:?} {:?}", job.clone().to(fhirline::Output::Stats));
    assert!(shown.contains("1 ids") && !shown.contains("canary"), "{shown}");
}

/// A filter is one of the options: a run with another one is another run.
#[test]
fn another_filter_is_another_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let export = folder.path().join("export.jsonl");
    std::fs::write(&export, "{\"resourceType\":\"Goal\",\"id\":\"a\"}\n").expect("written");
    let job = |ids: Ids| {
        let to = SplitJob::to(folder.path().join("out"));
        Job::new([&export]).expect("a source").filter(ids).to(to).run()
    };
    assert!(!job(Ids(["a"].into())).expect("a run").already_complete);
    assert!(job(Ids(["b"].into())).expect("the same by its name").already_complete);
    match job(Ids(["a", "b"].into())) {
        Err(JobError::OtherRun { differences, .. }) => assert_eq!(differences, ["the filter"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_output_that_an_entry_is_said_to_have_gone_to_is_where_it_went() {
    let folder = tempfile::tempdir().expect("a folder");
    let export = folder.path().join("bundle.json");
    std::fs::write(&export, PRETTY).expect("written");
    let to = SplitJob::to(folder.path().join("out")).keep_entry_metadata(true);
    Job::new([&export]).expect("a source").filter(Ids(["a"].into())).to(to).run().expect("a run");
    let told = std::fs::read_to_string(folder.path().join("out/_entry_metadata.ndjson")).expect("there");
    let outputs: Vec<serde_json::Value> = told
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["outputs"][0].clone())
        .collect();
    assert_eq!(outputs, ["Goal", "_filtered"], "{told}");
}
