use std::sync::Arc;

use super::ExportEvent;

type Tell = dyn Fn(&ExportEvent<'_>) + Send + Sync;
type Stopped = dyn Fn() -> bool + Send + Sync;

/// Who is told how an export goes, and who may end the wait for it.
#[derive(Clone, Default)]
pub(crate) struct Watch {
    pub(crate) tell: Option<Arc<Tell>>,
    pub(crate) stopped: Option<Arc<Stopped>>,
}

impl Watch {
    pub(crate) fn tell(&self, event: &ExportEvent<'_>) {
        if let Some(tell) = &self.tell {
            tell(event);
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stopped.as_ref().is_some_and(|stopped| stopped())
    }
}
