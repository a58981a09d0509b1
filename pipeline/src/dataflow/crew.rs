//! The crew: Timely workers of this process, waiting for passes to run.
//!
//! The conductor (the thread that called [`crate::run`]) decides; every process's conductor decides the
//! same from the same facts, so all workers build the same dataflows in the same order.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use megagram_storage::bridge::Bridge;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use timely::WorkerConfig;
use timely::communication::allocator::ProcessBuilder;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::{AllocatorBuilder, Config, Hooks, WorkerGuards};

use super::desk::{Desk, Done};
use super::gather::{Table, gather};
use super::loader;
use super::sweep::sweep;
use crate::error::{Error, Result};
use crate::pass::Pass;
use crate::progress::Progress;

/// The processes of a run, as one of them sees it.
#[derive(Debug)]
pub struct Cluster {
    /// Number of this process, from 0.
    pub process: usize,
    /// A connected socket to each other process, `None` for this one; its length is the number of
    /// processes. One process alone: `vec![None]`.
    pub sockets: Vec<Option<TcpStream>>,
}

impl Cluster {
    /// One process alone.
    pub fn alone() -> Self {
        Self { process: 0, sockets: vec![None] }
    }
}

#[derive(Clone)]
enum Order {
    Sweep(Arc<Desk>),
    Gather(Arc<Table>),
}

/// Timely workers at the conductor's command.
pub struct Crew {
    /// Number of this process, from 0.
    pub process: usize,
    /// Number of processes.
    pub processes: usize,
    /// Workers in this process.
    pub workers: usize,
    orders: Vec<Sender<Order>>,
    done: Receiver<()>,
    guards: Option<WorkerGuards<()>>,
}

impl Crew {
    /// Starts `workers` Timely workers in this process of `cluster`.
    ///
    /// # Errors
    /// [`Error::Lost`] if the network cannot be set up.
    pub fn start(cluster: Cluster, workers: usize) -> Result<Crew> {
        let processes = cluster.sockets.len().max(1);
        let process = cluster.process;
        let lost = |e: String| Error::Lost(format!("the workers cannot be started: {e}"));
        let (builders, guard): (Vec<AllocatorBuilder>, Box<dyn std::any::Any + Send>) = if processes == 1 {
            Config::Process(workers).try_build().map_err(lost)?
        } else {
            let hooks = Hooks::default();
            let local = ProcessBuilder::new_typed_vector(workers, hooks.refill.clone(), hooks.spill.clone());
            let (tcp, guard) = initialize_networking_from_sockets(local, cluster.sockets, process, workers, hooks)
                .map_err(|e| lost(e.to_string()))?;
            (tcp.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard))
        };
        let (orders, seats): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel::<Order>()).unzip();
        let seats: Mutex<Vec<Option<Receiver<Order>>>> = Mutex::new(seats.into_iter().map(Some).collect());
        let (report, done) = channel();
        let guards = timely::execute::execute_from(builders, guard, WorkerConfig::default(), move |worker| {
            let seat = seats.lock().get_mut(worker.index() % workers).and_then(Option::take);
            for order in seat.into_iter().flatten() {
                match order {
                    Order::Sweep(desk) => sweep(worker, &desk, processes),
                    Order::Gather(table) => gather(worker, &table, processes),
                }
                // The conductor may be gone after an error; then there is nobody to tell.
                let _ = report.send(());
            }
        })
        .map_err(lost)?;
        Ok(Crew { process, processes, workers, orders, done, guards: Some(guards) })
    }

    fn give(&self, order: &Order) -> Result<()> {
        let gone = || Error::Defect("a worker has ended before its time".into());
        for worker in &self.orders {
            worker.send(order.clone()).map_err(|_| gone())?;
        }
        for _ in &self.orders {
            self.done.recv().map_err(|_| gone())?;
        }
        Ok(())
    }

    /// Runs a pass in all processes.
    ///
    /// # Errors
    /// The same error in every process.
    pub fn sweep(&self, pass: Arc<dyn Pass>, bridge: &Bridge, progress: &Arc<dyn Progress>) -> Result<Done> {
        let desk = Desk::new(pass, bridge.clone(), self.process, self.workers, Arc::clone(progress));
        let desk = Arc::new(desk);
        let loading = Arc::clone(&desk);
        let loader = std::thread::Builder::new()
            .name("megagram-loader".into())
            .spawn(move || loader::run(&loading))
            .map_err(|e| Error::Defect(format!("a thread cannot be started: {e}")))?;
        self.give(&Order::Sweep(Arc::clone(&desk)))?;
        loader.join().map_err(|_| Error::Defect("the loader has panicked".into()))?;
        match desk.errors().into_iter().next() {
            Some(error) => Err(error),
            None => Ok(desk.done()),
        }
    }

    /// What every process says, by process.
    ///
    /// # Errors
    /// [`Error::Defect`] if a message cannot be read.
    pub fn gather<T: Serialize + DeserializeOwned>(&self, says: &T) -> Result<Vec<T>> {
        let bad = |e: serde_json::Error| Error::Defect(format!("a message between processes cannot be read: {e}"));
        let table = Arc::new(Table::new(self.process, self.processes, serde_json::to_vec(says).map_err(bad)?));
        self.give(&Order::Gather(Arc::clone(&table)))?;
        table.heard().iter().map(|bytes| serde_json::from_slice(bytes).map_err(bad)).collect()
    }

    /// What process 0 says; the others need not know.
    ///
    /// # Errors
    /// The error of process 0, in every process.
    pub fn lead<T: Serialize + DeserializeOwned>(&self, decide: impl FnOnce() -> Result<T>) -> Result<T> {
        let mine: Option<Result<T>> = (self.process == 0).then(decide);
        let first = self.gather(&mine)?.into_iter().next().flatten();
        first.unwrap_or_else(|| Err(Error::Defect("process 0 said nothing".into())))
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.orders.clear();
        if let Some(guards) = self.guards.take() {
            for guard in guards.join() {
                // A worker that panicked has been told of by the panic hook.
                drop(guard);
            }
        }
    }
}
