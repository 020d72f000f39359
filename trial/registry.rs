//! The systems, workloads and models that a trial can use, by name.

use std::str::FromStr;
use std::sync::Arc;

use tribunal_checker::check::{Options, Unfit, check_from, check_with};
use tribunal_checker::history::History;
use tribunal_checker::model::{Initial, Model, Objects};
use tribunal_checker::verdict::Verdict;
use tribunal_nemesis::Fault;
use tribunal_systems::{SYSTEMS, catalog};
use tribunal_workloads::WORKLOADS;

/// The systems, workloads and models that a [`TrialSpec`](tribunal_records::TrialSpec) may name.
#[derive(Clone, Default)]
pub struct Registry {
    systems: Vec<tribunal_systems::Entry>,
    workloads: Vec<tribunal_workloads::Entry>,
    models: Vec<RunModel>,
    faults: Vec<&'static Fault>,
}

/// The model that a run is checked against.
#[derive(Clone)]
pub(crate) enum RunModel {
    /// A model of the checker, which also supports the live check.
    BuiltIn(Objects),
    /// A user-defined model: its name, and its check of a whole history.
    Custom(String, Arc<CheckFn>),
}

type CheckFn = dyn Fn(&History, &Options<'_>) -> Result<Verdict, Unfit> + Send + Sync;

impl Registry {
    /// The built-in systems, workloads and models.
    pub fn built_in() -> Self {
        Registry {
            systems: SYSTEMS.iter().cloned().chain(catalog::systems()).collect(),
            workloads: WORKLOADS.to_vec(),
            models: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Adds a system. It replaces a system with the same name.
    pub fn with_system(mut self, system: tribunal_systems::Entry) -> Self {
        self.systems.retain(|other| other.name != system.name);
        self.systems.push(system);
        self
    }

    /// Adds a workload. It replaces a workload with the same name.
    pub fn with_workload(mut self, workload: tribunal_workloads::Entry) -> Self {
        self.workloads.retain(|other| other.name != workload.name);
        self.workloads.push(workload);
        self
    }

    /// Adds a model. It replaces a model with the same name. It is checked after the run only.
    pub fn with_model<M: Model + Send + 'static>(mut self, model: M) -> Self {
        let name = model.name().to_owned();
        self.models.retain(|other| other.name() != name);
        let check = move |history: &History, options: &Options<'_>| check_with(history, &model, options);
        self.models.push(RunModel::Custom(name, Arc::new(check)));
        self
    }

    /// Adds a fault that `nemesis` may name. It replaces a fault with the same name. Its acts are built-in
    /// ones, parsed from text as in a schedule: `"kill n1"`.
    pub fn with_fault(mut self, fault: &'static Fault) -> Self {
        self.faults.retain(|other| other.name != fault.name);
        self.faults.push(fault);
        self
    }

    /// The user-defined faults.
    pub(crate) fn faults(&self) -> &[&'static Fault] {
        &self.faults
    }

    /// All systems, in the order in which they are listed.
    pub fn systems(&self) -> &[tribunal_systems::Entry] {
        &self.systems
    }

    /// All workloads, in the order in which they are listed.
    pub fn workloads(&self) -> &[tribunal_workloads::Entry] {
        &self.workloads
    }

    /// The model with that name. User-defined models take precedence over built-in ones.
    ///
    /// # Errors
    /// When there is none; the error lists the built-in models.
    pub(crate) fn model(&self, name: &str) -> Result<RunModel, <Objects as FromStr>::Err> {
        match self.models.iter().find(|model| model.name() == name) {
            Some(custom) => Ok(custom.clone()),
            None => Ok(RunModel::BuiltIn(name.parse()?)),
        }
    }
}

impl RunModel {
    /// The name of the model.
    pub(crate) fn name(&self) -> &str {
        match self {
            RunModel::BuiltIn(model) => model.name(),
            RunModel::Custom(name, _) => name,
        }
    }

    /// Whether only the final state of the nodes is judged.
    pub(crate) fn is_eventual(&self) -> bool {
        matches!(self, RunModel::BuiltIn(model) if model.is_eventual())
    }

    /// Checks a whole history.
    ///
    /// # Errors
    /// When an operation has no meaning in the model.
    pub(crate) fn check(&self, history: &History, options: &Options<'_>) -> Result<Verdict, Unfit> {
        match self {
            RunModel::BuiltIn(model) => check_from(history, &Initial::new(*model), options),
            RunModel::Custom(_, check) => check(history, options),
        }
    }
}
