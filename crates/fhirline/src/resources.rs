use std::fmt;
use std::slice;

use fhirline_core::{Batch, Destination, Records, Run};
use fhirline_route::Resource;

/// Goes over resources that came together: those of one type after the other, and of a type in the order of the source. Made by
/// [`PulledBatch::resources`](crate::PulledBatch::resources).
///
/// A type of its own and no boxed iterator: a record costs hardly more than a call that the compiler cannot see through.
#[derive(Clone)]
pub struct Resources<'b> {
    /// What of `batch` is still to come.
    runs: slice::Iter<'b, Run>,
    batch: Option<&'b Batch>,
    wanted: fn(&Destination) -> bool,
    /// What of the run is still to come that was begun last, and where it goes.
    records: Option<(Destination, Records<'b>)>,
    /// One that came alone.
    alone: Option<Resource<'b>>,
}

impl<'b> Resources<'b> {
    /// What a batch holds for destinations that are wanted.
    pub(crate) fn of_batch(batch: &'b Batch, wanted: fn(&Destination) -> bool) -> Self {
        Self { runs: batch.runs.iter(), batch: Some(batch), wanted, records: None, alone: None }
    }

    /// One that came alone, or none.
    pub(crate) fn alone(resource: Option<Resource<'b>>) -> Self {
        Self { runs: [].iter(), batch: None, wanted: |_| true, records: None, alone: resource }
    }

    /// Begins the next run that is wanted. False if there is none.
    fn begin_run(&mut self) -> bool {
        let wanted = self.wanted;
        let next = self.runs.find(|run| wanted(&run.destination)).zip(self.batch);
        self.records = next.map(|(run, batch)| (run.destination, batch.records(run)));
        next.is_some()
    }
}

impl<'b> Iterator for Resources<'b> {
    type Item = Resource<'b>;

    #[inline]
    fn next(&mut self) -> Option<Resource<'b>> {
        loop {
            if let Some((destination, records)) = &mut self.records
                && let Some(record) = records.next()
            {
                return Some(Resource::inline(*destination, record.position, record.bytes));
            }
            if !self.begin_run() {
                return self.alone.take();
            }
        }
    }
}

impl fmt::Debug for Resources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resources").field("runs", &self.runs.len()).finish_non_exhaustive()
    }
}
