use std::time::{Duration, Instant};

/// A clock that may run faster than others: links expire and retries come by it.
pub(super) struct Clock {
    started: Instant,
    speed: f64,
}

impl Clock {
    pub(super) fn at_speed(speed: f64) -> Self {
        Self { started: Instant::now(), speed: if speed.is_finite() { speed.clamp(0.001, 1e9) } else { 1.0 } }
    }

    /// How late it is by this clock.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed().mul_f64(self.speed)
    }

    /// Waits so long by this clock.
    pub(super) async fn wait(&self, time: Duration) {
        tokio::time::sleep(time.div_f64(self.speed)).await;
    }
}
