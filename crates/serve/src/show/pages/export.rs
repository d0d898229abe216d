use askama::Template;
use axum::extract::{Path, State as From};
use axum::response::Response;

use super::{Frame, Sorry, html};
use crate::State;
use crate::show::Site;
use crate::show::api::Refusal;
use crate::show::figures::{Chip, Moment, Progress, span};
use crate::store::{ExportRow, StepRow};

mod account;

use account::AccountView;

#[derive(Template)]
#[template(path = "export.html")]
struct ExportPage {
    frame: Frame,
    export: ExportRow,
    state: Chip,
    changed_at: i64,
    progress: Option<Progress>,
    facts: Vec<(&'static str, String)>,
    times: Vec<(&'static str, Moment)>,
    can_retry: bool,
    steps: Vec<Step>,
    account: Option<AccountView>,
}

struct Step {
    at: Moment,
    state: Chip,
    note: String,
    /// Since the step before.
    after: Option<String>,
}

pub(super) async fn export(From(site): From<Site>, Path(id): Path<String>) -> Result<Response, Sorry> {
    let store = &site.shown.store;
    let export = store.export(&id).await?.ok_or(Refusal::Unknown)?;
    let steps = store.steps(&id).await?;
    let state = export.state();
    Ok(html(&ExportPage {
        frame: Frame::new(&site, format!("Export {}", export.task_id)),
        state: Chip(state),
        changed_at: export.updated_at,
        progress: (state == State::Running).then(|| Progress::of(&export)),
        facts: facts(&export),
        times: times(&export),
        can_retry: matches!(state, State::Failed | State::Expired | State::Held) && export.link.is_some(),
        steps: steps
            .iter()
            .enumerate()
            .map(|(at, step)| Step::of(step, at.checked_sub(1).map(|at| &steps[at])))
            .collect(),
        account: AccountView::of(&export),
        export,
    }))
}

fn facts(export: &ExportRow) -> Vec<(&'static str, String)> {
    let some = |value: &Option<String>| value.clone().unwrap_or_default();
    let all = [
        ("Task", export.task_id.clone()),
        ("Connection", some(&export.org_connection_id)),
        ("External id", some(&export.external_id)),
        ("Request", some(&export.request_id)),
        ("Platform", some(&export.platform_type)),
        ("Format", export.export_type.clone()),
        ("Destination", some(&export.destination)),
        ("Event", some(&export.event_id)),
        ("Attempts", export.attempts.to_string()),
        ("Times begun with new links", export.generation.to_string()),
        ("Questions to the API for its state", export.polls.to_string()),
        ("Id here", export.id.clone()),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn times(export: &ExportRow) -> Vec<(&'static str, Moment)> {
    let all = [
        ("First heard of", Some(export.created_at)),
        ("Asked for", export.requested_at),
        ("Last begun", export.started_at),
        ("Over", export.finished_at),
        ("Due", export.due_at),
    ];
    all.into_iter().filter_map(|(name, at)| Some((name, Moment(at?)))).collect()
}

impl Step {
    fn of(step: &StepRow, before: Option<&StepRow>) -> Self {
        Self {
            at: Moment(step.at),
            state: Chip(step.state.parse().unwrap_or(State::Failed)),
            note: step.note.clone().unwrap_or_default(),
            after: before.map(|before| span(before.at, step.at)),
        }
    }
}
