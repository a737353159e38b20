//! The database's connections, looked at when the page is scraped.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts};

use crate::control_plane::store::Store;

/// Gauges over a store's pools.
#[derive(Debug)]
pub struct DbConnections {
    store: Store,
    connections: IntGaugeVec,
    most: IntGaugeVec,
}

impl DbConnections {
    /// Of this store.
    ///
    /// # Errors
    ///
    /// Never with the names used here; the library's signature says so.
    pub fn new(store: Store) -> prometheus::Result<Self> {
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            IntGaugeVec::new(Opts::new(name, help), labels)
        };
        Ok(Self {
            store,
            connections: gauges(
                "lictor_control_plane_db_connections",
                "Open connections to the database by pool and whether they are in use",
                &["pool", "state"],
            )?,
            most: gauges(
                "lictor_control_plane_db_connections_max",
                "Connections that a pool may open",
                &["pool"],
            )?,
        })
    }
}

impl Collector for DbConnections {
    fn desc(&self) -> Vec<&Desc> {
        let mut all = self.connections.desc();
        all.extend(self.most.desc());
        all
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for (pool, open, idle, most) in self.store.connections() {
            let used = open.saturating_sub(idle);
            for (state, count) in [("idle", idle), ("used", used)] {
                let gauge = self.connections.with_label_values(&[pool, state]);
                gauge.set(i64::from(count));
            }
            self.most.with_label_values(&[pool]).set(i64::from(most));
        }
        let mut all = self.connections.collect();
        all.extend(self.most.collect());
        all
    }
}
