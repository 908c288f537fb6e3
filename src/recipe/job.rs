//! Applies a recipe to a model.

use super::change::{Buffers, Change};
use super::plan::{Plan, Step};
use super::sink::Sink;
use super::threshold::Threshold;
use super::{Output, Pruning, Recipe, Shard, configure, parts};
use crate::error::{Error, FileError, Result};
use crate::formats::{INDEX, failed, write_index};
use crate::report::{Report, TensorReport};
use crate::tensors::TensorSource;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A recipe that is about to be applied to a model.
///
/// [`run`](Self::run) writes a checkpoint into a folder. What it holds in memory beside buffers of a few megabytes is one
/// tensor at a time: as floats, its codes, and what the file stores, together less than four times the bytes of the
/// largest tensor. Each file appears as a whole or not at all, and the index or the configuration that makes the files a
/// model comes last.
///
/// A large job can be cut into parts ([`shard`](Self::shard)) that know nothing of each other: each does every so many-th
/// file, on any machine that sees the model and the folder. [`join`](Self::join) then makes a model of them. The bytes are
/// those of one run, whatever the number of parts and threads.
pub struct Job<'a> {
    source: &'a dyn TensorSource,
    recipe: &'a Recipe,
    config: Option<Value>,
    shard: Shard,
}

/// How far a [`Job`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The tensor that is being worked on.
    pub name: &'a str,
    /// How many bytes of the model are done; a tensor that is read several times counts each time.
    pub done: u64,
    /// How many there are to do.
    pub total: u64,
}

/// What a [`Job`] did.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Done {
    /// A row for each tensor that a rule changed. Of a part of a job, for those of its files.
    pub report: Report,
    /// The files that were written, those with tensors.
    pub files: Vec<PathBuf>,
    /// Bytes of all tensors of the model that these files hold, before.
    pub bytes_before: u64,
    /// Bytes of all tensors in these files.
    pub bytes_after: u64,
    /// Bytes that the tensors of the report would take as floats of their own type, zeros and all.
    pub bytes_dense: u64,
    /// Bytes that they would take as the values that are not zero and a mask of a bit a weight.
    pub bytes_kept: u64,
    /// The numbers of the rules that decided about no tensor: a slip of the pen?
    pub unused_rules: Vec<usize>,
}

/// What sees the progress and can stop the work.
pub(super) struct Watch<'w> {
    pub(super) watch: &'w mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    pub(super) done: u64,
    pub(super) total: u64,
}

impl Watch<'_> {
    /// Counts bytes of a tensor and asks whether to go on.
    pub(super) fn step(&mut self, name: &str, bytes: u64) -> Result<()> {
        self.done = self.done.saturating_add(bytes);
        let (done, total) = (self.done, self.total);
        match (self.watch)(Progress { name, done, total }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::File(FileError::Stopped { done, total })),
        }
    }
}

impl<'a> Job<'a> {
    /// The job of applying a recipe to a model. Reads no tensor.
    ///
    /// # Errors
    ///
    /// [`Error::NameRepeated`] if two tensors have one name or would have one in the result, with the tensor's name around
    /// what its rule asks for and the output cannot hold ([`FileError::CannotHold`]), or what its shape does not allow.
    pub fn new(source: &'a dyn TensorSource, recipe: &'a Recipe) -> Result<Self> {
        // Finds what cannot be done before anything is.
        let plan = Plan::new(source, recipe, &[])?;
        let mut names = BTreeSet::new();
        for info in plan.steps.iter().flat_map(|step| &step.outputs) {
            if !names.insert(info.name.as_str()) {
                return Err(Error::NameRepeated {
                    what: "tensors",
                    name: info.name.clone(),
                });
            }
        }
        let job = Self {
            source,
            recipe,
            config: None,
            shard: Shard::WHOLE,
        };
        job.written_config(&plan)?;
        Ok(job)
    }

    /// The same for a model with this `config.json`: it goes into the folder, with a `quantization_config` where the output
    /// has one.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.config = Some(config);
        self
    }

    /// The same, doing only a part of the files. [`join`](Self::join) is to follow when all parts are done.
    #[must_use]
    pub const fn shard(mut self, shard: Shard) -> Self {
        self.shard = shard;
        self
    }

    /// Writes the files of the result into a folder, which is made if it is not there.
    ///
    /// `watch` is called with each tensor, several times with a large one that is read to find a threshold, and stops the work by
    /// [`ControlFlow::Break`].
    ///
    /// # Errors
    ///
    /// * [`FileError::Exists`]: the folder has files of another checkpoint.
    /// * [`FileError::TooManyParts`]: there are fewer files than parts.
    /// * [`FileError::Stopped`]: `watch` said so.
    /// * [`FileError::Failed`], [`FileError::Damaged`]: reading or writing failed.
    /// * [`Error::Tensor`] with the tensor's name around [`Error::NotANumber`] and what else pruning and quantizing fail
    ///   with.
    ///
    /// Files that were complete stay; without the index or configuration they are no model.
    pub fn run(
        &self,
        folder: impl AsRef<Path>,
        mut watch: impl FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Done> {
        let folder = folder.as_ref();
        let (plan, mut watch) = self.prepare(&mut watch)?;
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
        self.check_folder(folder, &plan.plan)?;
        let Prepared { plan, thresholds } = plan;
        let mut rows = Vec::new();
        let mut files = Vec::new();
        let mut buffers = Buffers::default();
        for file in (0..plan.files.len()).filter(|&file| self.shard.has(file)) {
            let path = folder.join(plan.file_name(&self.recipe.output, file));
            let of_file = self.write_file(
                (&path, file),
                &plan,
                &thresholds,
                (&mut watch, &mut buffers),
            )?;
            if self.shard.of() > 1 {
                parts::write(folder, (file, plan.files.len()), self.recipe, &of_file)?;
            }
            rows.extend(of_file);
            files.push((file, path));
        }
        if self.shard.of() == 1 {
            self.finish(folder, &plan)?;
        }
        self.done(&plan, rows, files)
    }

    /// Makes a model of the files that the parts of a job left in a folder: checks that each is there, writes index and
    /// configuration, and gives the report on all of it.
    ///
    /// # Errors
    ///
    /// [`FileError::Failed`] if a part is missing, [`FileError::OtherJob`] if one was done by another recipe or for another
    /// model, [`FileError::Damaged`] if a file is not whole.
    pub fn join(
        &self,
        folder: impl AsRef<Path>,
        mut watch: impl FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Done> {
        let folder = folder.as_ref();
        let whole = Self {
            shard: Shard::WHOLE,
            config: self.config.clone(),
            ..*self
        };
        // Which files there must be may depend on thresholds, so these are found anew.
        let (prepared, _) = whole.prepare(&mut watch)?;
        let plan = prepared.plan;
        let mut rows = Vec::new();
        let mut files = Vec::new();
        for file in 0..plan.files.len() {
            let path = folder.join(plan.file_name(&self.recipe.output, file));
            rows.extend(parts::read(folder, (file, plan.files.len()), self.recipe)?);
            parts::check(&path, &plan.infos(file))?;
            files.push((file, path));
        }
        whole.finish(folder, &plan)?;
        parts::remove(folder, plan.files.len())?;
        whole.done(&plan, rows, files)
    }

    /// The plan with what it needs to know of the weights.
    fn prepare<'w>(
        &self,
        watch: &'w mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<(Prepared, Watch<'w>)> {
        let plan = Plan::new(self.source, self.recipe, &[])?;
        let mut groups = Vec::new();
        for (number, rule) in self.recipe.rules.iter().enumerate() {
            if let Some(Pruning::Global(share)) = rule.prune {
                let of_rule = plan.steps.iter().filter(|step| step.rule == Some(number));
                let tensors: Vec<usize> = of_rule.map(|step| step.tensor).collect();
                groups.push((number, share, tensors));
            }
        }
        let mut watch = Watch {
            watch,
            done: 0,
            total: 0,
        };
        let bytes = |tensor: usize| {
            self.source.infos()[tensor]
                .bytes()
                .map(|bytes| bytes as u64)
        };
        for (_, _, tensors) in &groups {
            for &tensor in tensors {
                watch.total +=
                    bytes(tensor)?.saturating_mul(Threshold::readings(self.source, tensors));
            }
        }
        watch.total += self.bytes_of_files(&plan)?;
        let mut thresholds = Vec::new();
        for (number, share, tensors) in groups {
            let found = Threshold::find(self.source, &tensors, share, &mut |info, weights| {
                watch.step(&info.name, (weights * info.dtype.bits() / 8) as u64)
            })?;
            thresholds.push((number, found));
        }
        if thresholds.is_empty() {
            return Ok((Prepared { plan, thresholds }, watch));
        }
        // Now that it is known how many weights of each tensor stay, files may begin elsewhere.
        let before = self.bytes_of_files(&plan)?;
        let plan = Plan::new(self.source, self.recipe, &thresholds)?;
        watch.total = watch.total - before + self.bytes_of_files(&plan)?;
        Ok((Prepared { plan, thresholds }, watch))
    }

    /// Bytes of the tensors that become files of this part.
    fn bytes_of_files(&self, plan: &Plan) -> Result<u64> {
        if self.shard.of() > plan.files.len() {
            return Err(Error::File(FileError::TooManyParts {
                parts: self.shard.of(),
                files: plan.files.len(),
            }));
        }
        let mut sum = 0_u64;
        for (_, steps) in plan
            .files
            .iter()
            .enumerate()
            .filter(|(file, _)| self.shard.has(*file))
        {
            for step in &plan.steps[steps.clone()] {
                sum = sum.saturating_add(self.source.infos()[step.tensor].bytes()? as u64);
            }
        }
        Ok(sum)
    }

    /// Fails if the folder has tensors that the result would not replace. The index of those that it will replace goes
    /// first, so that at no moment files of two results look like one model.
    fn check_folder(&self, folder: &Path, plan: &Plan) -> Result<()> {
        let count = plan.files.len();
        let names: BTreeSet<String> = (0..count)
            .map(|file| plan.file_name(&self.recipe.output, file))
            .collect();
        for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
            let name = entry.map_err(failed("list", folder))?.file_name();
            let name = name.to_string_lossy();
            let of_model = name.ends_with(".safetensors") || name.ends_with(".gguf");
            let index = name.ends_with(".index.json") && count == 1;
            if (of_model || index) && !names.contains(name.as_ref()) {
                return Err(Error::File(FileError::Exists {
                    path: folder.join(name.as_ref()).display().to_string(),
                }));
            }
        }
        let index = folder.join(INDEX);
        if index.exists() {
            fs::remove_file(&index).map_err(failed("remove", &index))?;
        }
        Ok(())
    }

    fn write_file(
        &self,
        (path, file): (&Path, usize),
        plan: &Plan,
        thresholds: &[(usize, Threshold)],
        (watch, buffers): (&mut Watch<'_>, &mut Buffers),
    ) -> Result<Vec<TensorReport>> {
        let infos = self.source.infos();
        let mut sink = Sink::create(path, &self.recipe.output, infos, plan, file)?;
        let mut rows = Vec::new();
        for step in &plan.steps[plan.files[file].clone()] {
            let info = &infos[step.tensor];
            // Before the work, so that the name is that of the tensor that takes the time.
            watch.step(&info.name, 0)?;
            let row = self.write_step(step, thresholds, &mut sink, buffers);
            rows.extend(row.map_err(|error| error.in_tensor(&*info.name))?);
            watch.step(&info.name, info.bytes()? as u64)?;
        }
        sink.finish()?;
        Ok(rows)
    }

    fn write_step(
        &self,
        step: &Step,
        thresholds: &[(usize, Threshold)],
        sink: &mut Sink,
        buffers: &mut Buffers,
    ) -> Result<Option<TensorReport>> {
        let Some(number) = step.rule else {
            sink.copy(self.source, step.tensor)?;
            return Ok(None);
        };
        let threshold = thresholds.iter().find(|(rule, _)| *rule == number);
        let change = Change {
            source: self.source,
            info: &self.source.infos()[step.tensor],
            rule: &self.recipe.rules[number],
            step,
            threshold: threshold.map(|(_, threshold)| threshold),
        };
        change.write(sink, buffers).map(Some)
    }

    /// Writes what makes files a model.
    fn finish(&self, folder: &Path, plan: &Plan) -> Result<()> {
        let count = plan.files.len();
        if count > 1 {
            let mut files = BTreeMap::new();
            let mut bytes = 0_u64;
            for file in 0..count {
                for info in plan.infos(file) {
                    bytes = bytes.saturating_add(info.bytes()? as u64);
                    files.insert(info.name, plan.file_name(&self.recipe.output, file));
                }
            }
            write_index(folder, &files, bytes)?;
        }
        match self.written_config(plan)? {
            Some(config) => parts::write_json(&folder.join("config.json"), &config),
            None => Ok(()),
        }
    }

    /// The configuration of the result, if it has one.
    fn written_config(&self, plan: &Plan) -> Result<Option<Value>> {
        let config = self.config.as_ref();
        match &self.recipe.output {
            Output::CompressedTensors(_) => {
                configure::compressed(config, self.source.infos(), plan).map(Some)
            }
            Output::Gptq => configure::gptq(config, plan),
            _ => Ok(config.cloned()),
        }
    }

    fn done(
        &self,
        plan: &Plan,
        rows: Vec<TensorReport>,
        files: Vec<(usize, PathBuf)>,
    ) -> Result<Done> {
        let mut done = Done {
            report: Report::new(),
            files: Vec::new(),
            bytes_before: 0,
            bytes_after: 0,
            bytes_dense: 0,
            bytes_kept: 0,
            unused_rules: self.recipe.unused(self.source.infos()),
        };
        for row in rows {
            let size = row.bytes_before().checked_div(row.len()).unwrap_or(0);
            done.bytes_dense += row.bytes_before() as u64;
            done.bytes_kept += (row.nonzero() * size + row.len().div_ceil(8)) as u64;
            done.report.add_tensor(row)?;
        }
        for (file, path) in files {
            for step in &plan.steps[plan.files[file].clone()] {
                done.bytes_before += self.source.infos()[step.tensor].bytes()? as u64;
                done.bytes_after += step.bytes()? as u64;
            }
            done.files.push(path);
        }
        Ok(done)
    }
}

/// The plan, and the thresholds that it needs.
struct Prepared {
    plan: Plan,
    thresholds: Vec<(usize, Threshold)>,
}

impl fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("recipe", self.recipe)
            .field("shard", &self.shard)
            .finish_non_exhaustive()
    }
}
