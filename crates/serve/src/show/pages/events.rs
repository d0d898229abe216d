use askama::Template;
use axum::extract::State as From;
use axum::response::Response;

use super::{Frame, Sorry, html};
use crate::show::Site;
use crate::show::figures::Moment;
use crate::store::EventRow;

/// Events of each kind on the page.
const ROWS: i64 = 100;

#[derive(Template)]
#[template(path = "events.html")]
struct Events {
    frame: Frame,
    flagged: Vec<Row>,
    last: Vec<Row>,
}

struct Row {
    id: String,
    mode: String,
    kind: String,
    received: Moment,
    deliveries: i64,
    flag: Option<String>,
    task: String,
    connection: String,
}

pub(super) async fn events(From(site): From<Site>) -> Result<Response, Sorry> {
    let of = |rows: Vec<EventRow>| rows.into_iter().map(Row::of).collect();
    Ok(html(&Events {
        frame: Frame::new(&site, "Events"),
        flagged: of(site.shown.store.events(true, ROWS).await?),
        last: of(site.shown.store.events(false, ROWS).await?),
    }))
}

impl Row {
    fn of(row: EventRow) -> Self {
        Self {
            id: row.id,
            mode: row.mode,
            kind: row.kind,
            received: Moment(row.received_at),
            deliveries: row.deliveries,
            flag: row.flag,
            task: row.task_id.unwrap_or_default(),
            connection: row.org_connection_id.unwrap_or_default(),
        }
    }
}
