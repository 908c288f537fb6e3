//! Applies a recipe to a model.

use super::change::{Buffers, Change};
use super::plan::{Plan, Step};
use super::sink::Sink;
use super::threshold::Threshold;
use super::{Output, Pruning, Recipe, Shard, configure, parts};
use crate::error::{Error, FileError, Result};
use crate::formats::{failed, write_index};
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
/// [`run`](Self::run) writes a checkpoint into a folder. Where each row or group has a scale of its own and nothing is pruned, it
/// holds some rows at a time, a few megabytes. Else what it holds beside buffers is one tensor at a time: as floats, its codes, and what the file stores, together less than four times the bytes of the
/// largest tensor. Each file appears as a whole or not at all; where there are several, the index that makes them a model
/// comes last.
///
/// A large job can be cut into parts ([`shard`](Self::shard)) that know nothing of each other: each does every so many-th
/// file, on any machine that sees the model and the folder. [`join`](Self::join) then makes a model of them. The bytes are
/// those of one run, whatever the number of parts and threads.
#[derive(Clone)]
pub struct Job<'a> {
    source: &'a dyn TensorSource,
    recipe: &'a Recipe,
    config: Option<Value>,
    /// None does all and makes a model of it.
    shard: Option<Shard>,
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
        let outputs = || plan.steps.iter().flat_map(|step| &step.outputs);
        for infos in [
            &mut source.infos().iter() as &mut dyn Iterator<Item = _>,
            &mut outputs(),
        ] {
            let mut names = BTreeSet::new();
            for info in infos {
                if !names.insert(info.name.as_str()) {
                    return Err(Error::NameRepeated {
                        what: "tensors",
                        name: info.name.clone(),
                    });
                }
            }
        }
        let job = Self {
            source,
            recipe,
            config: None,
            shard: None,
        };
        job.written_config(&plan)?;
        Ok(job)
    }

    /// The same for a model with this `config.json`: it goes into the folder, with the `quantization_config` of the output,
    /// if that has one, in the place of any other.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.config = Some(config);
        self
    }

    /// The same, doing only a part of the files. [`join`](Self::join) is to follow when all parts are done.
    #[must_use]
    pub const fn shard(mut self, shard: Shard) -> Self {
        self.shard = Some(shard);
        self
    }

    /// Writes the files of the result into a folder, which is made if it is not there.
    ///
    /// `watch` is called with each tensor, several times with a large one that is read to find a threshold, and stops the work by
    /// [`ControlFlow::Break`].
    ///
    /// # Errors
    ///
    /// * [`FileError::Exists`]: the folder has a checkpoint; of a part, one that is not of this job.
    /// * [`FileError::TooManyParts`]: there are fewer files than parts.
    /// * [`FileError::Stopped`]: `watch` said so.
    /// * [`FileError::Setting`]: the configuration is no object.
    /// * [`FileError::Failed`], [`FileError::Damaged`]: reading or writing failed.
    /// * [`Error::Tensor`] with the tensor's name around [`Error::NotANumber`], [`Error::Infinite`] and what else pruning,
    ///   quantizing and comparing fail with.
    ///
    /// Files that were complete stay; where there are several, they are no model without the index.
    pub fn run(
        &self,
        folder: impl AsRef<Path>,
        mut watch: impl FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Done> {
        let folder = folder.as_ref();
        let (Prepared { plan, thresholds }, mut watch) = self.prepare(&mut watch)?;
        let config = self.written_config(&plan)?;
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
        self.check_folder(folder, &plan)?;
        let count = plan.files.len();
        let mut rows = Vec::new();
        let mut files = Vec::new();
        let mut buffers = Buffers::default();
        for file in (0..count).filter(|&file| self.has(file)) {
            let path = folder.join(plan.file_name(&self.recipe.output, file));
            if self.shard.is_some() {
                parts::begin(folder, (file, count), self.recipe)?;
            }
            let working = (&mut watch, &mut buffers);
            let of_file = self.write_file((&path, file), &plan, &thresholds, working)?;
            if self.shard.is_some() {
                parts::write(folder, (file, count), self.recipe, &of_file)?;
            }
            rows.extend(of_file);
            files.push((file, path));
        }
        let done = self.done(&plan, rows, files)?;
        if self.shard.is_none() {
            self.finish(folder, &plan, config.as_ref())?;
        }
        Ok(done)
    }

    /// Makes a model of the files that the parts of a job left in a folder: checks that each is there, was done by this
    /// recipe and has the tensors of this model, writes configuration and index, and gives the report on all of it.
    ///
    /// # Errors
    ///
    /// * [`FileError::Failed`]: a part is missing.
    /// * [`FileError::OtherJob`]: one was not finished, or was done by another recipe or for a model with other names, types or
    ///   shapes.
    /// * [`FileError::Damaged`]: a file is not whole.
    /// * [`FileError::Stopped`]: `watch` said so.
    pub fn join(
        &self,
        folder: impl AsRef<Path>,
        mut watch: impl FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Done> {
        let folder = folder.as_ref();
        let whole = Self {
            shard: None,
            config: self.config.clone(),
            ..*self
        };
        // Which files there must be may depend on thresholds, so these are found anew.
        let (Prepared { plan, .. }, mut watch) = whole.prepare(&mut watch)?;
        let config = whole.written_config(&plan)?;
        let count = plan.files.len();
        let mut rows = Vec::new();
        let mut files = Vec::new();
        for (file, steps) in plan.files.iter().enumerate() {
            let path = folder.join(plan.file_name(&self.recipe.output, file));
            let steps = &plan.steps[steps.clone()];
            rows.extend(parts::read(
                folder,
                (file, count),
                self.recipe,
                (self.source.infos(), steps),
            )?);
            parts::check(&path, &self.recipe.output, &plan.infos(file))?;
            for step in steps {
                let info = &self.source.infos()[step.tensor];
                watch.step(&info.name, info.bytes()? as u64)?;
            }
            files.push((file, path));
        }
        let done = whole.done(&plan, rows, files)?;
        whole.finish(folder, &plan, config.as_ref())?;
        parts::remove(folder, count)?;
        Ok(done)
    }

    /// Whether this job does the file with this number.
    fn has(&self, file: usize) -> bool {
        self.shard.is_none_or(|shard| shard.has(file))
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
        for (_, share, tensors) in &groups {
            let readings = Threshold::readings(self.source, tensors, *share)?;
            for &tensor in tensors {
                let bytes = self.source.infos()[tensor].bytes()? as u64;
                watch.total = watch.total.saturating_add(bytes.saturating_mul(readings));
            }
        }
        let of_files = self.bytes_of_files(&plan)?;
        watch.total = watch.total.saturating_add(of_files);
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
        let plan = Plan::new(self.source, self.recipe, &thresholds)?;
        let total = watch.total.saturating_sub(of_files);
        watch.total = total.saturating_add(self.bytes_of_files(&plan)?);
        Ok((Prepared { plan, thresholds }, watch))
    }

    /// Bytes of the tensors that become files of this part.
    fn bytes_of_files(&self, plan: &Plan) -> Result<u64> {
        let (parts, files) = (self.shard.map_or(1, Shard::of), plan.files.len());
        if parts > files {
            return Err(Error::File(FileError::TooManyParts { parts, files }));
        }
        let mut sum = 0_u64;
        for (file, steps) in plan.files.iter().enumerate() {
            for step in plan.steps[steps.clone()].iter().filter(|_| self.has(file)) {
                sum = sum.saturating_add(self.source.infos()[step.tensor].bytes()? as u64);
            }
        }
        Ok(sum)
    }

    /// Fails if the folder has a checkpoint: one of others, or what would be one together with files of this result. What
    /// parts of this job wrote, they may write again.
    fn check_folder(&self, folder: &Path, plan: &Plan) -> Result<()> {
        let count = plan.files.len();
        let is_ours = |name: &str| {
            let file = (0..count).find(|&file| plan.file_name(&self.recipe.output, file) == name);
            self.shard.is_some() && file.is_some_and(|file| parts::is_there(folder, (file, count)))
        };
        for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
            let name = entry.map_err(failed("list", folder))?.file_name();
            let name = name.to_string_lossy();
            let ends = [".safetensors", ".gguf", ".safetensors.index.json"];
            if ends.iter().any(|end| name.ends_with(end)) && !is_ours(&name) {
                return Err(Error::File(FileError::Exists {
                    path: folder.join(name.as_ref()).display().to_string(),
                }));
            }
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
    fn finish(&self, folder: &Path, plan: &Plan, config: Option<&Value>) -> Result<()> {
        if let Some(config) = config {
            parts::write_json(&folder.join("config.json"), config)?;
        }
        let count = plan.files.len();
        if count == 1 {
            return Ok(());
        }
        let mut files = BTreeMap::new();
        let mut bytes = 0_u64;
        for file in 0..count {
            for info in plan.infos(file) {
                bytes = bytes.saturating_add(info.bytes()? as u64);
                files.insert(info.name, plan.file_name(&self.recipe.output, file));
            }
        }
        write_index(folder, &files, bytes)
    }

    /// The configuration of the result, if it has one: without what was said of codes that are no more.
    fn written_config(&self, plan: &Plan) -> Result<Option<Value>> {
        let config = self.config.as_ref().map(configure::without_codes);
        match &self.recipe.output {
            Output::CompressedTensors(_) => {
                configure::compressed(config, self.source.infos(), plan).map(Some)
            }
            Output::Gptq => configure::gptq(config, plan),
            _ => Ok(config),
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
            let kept = row.nonzero().saturating_mul(size);
            let kept = kept.saturating_add(row.len().div_ceil(8));
            done.bytes_dense = done.bytes_dense.saturating_add(row.bytes_before() as u64);
            done.bytes_kept = done.bytes_kept.saturating_add(kept as u64);
            done.report.add_tensor(row)?;
        }
        for (file, path) in files {
            for step in &plan.steps[plan.files[file].clone()] {
                let before = self.source.infos()[step.tensor].bytes()? as u64;
                done.bytes_before = done.bytes_before.saturating_add(before);
                done.bytes_after = done.bytes_after.saturating_add(step.bytes()? as u64);
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
