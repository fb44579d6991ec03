//! One scene under one fault, at every point of it, and what must hold afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use keyfob::testing::block_on;
use keyfob::{Actor, By, Grant, IssueRequest};

use crate::child::{ANSWERS, BEGUN};
use crate::contents::Contents;
use crate::fault::Fault;
use crate::operation;
use crate::scene::{Prepared, Scene};
use crate::strace::Ended;
use crate::world::{DATABASE, Draws, SECRETS, World, owner_named};

/// How many points there are, once each of them is found to be right.
pub(crate) fn sweep(scene: Scene, fault: &Fault, prepared: &Prepared) -> Result<usize, String> {
    let expected = Expected::of(scene, fault, prepared)?;
    let (_folder, undisturbed) = scene.run(prepared, fault, None);
    let mut points = undisturbed.points()?;
    // A child that cannot answer says nothing about the store.
    points.retain(|point| fault.kills() || !point.says);
    if points.is_empty() {
        return Err(format!("nothing is written:\n{undisturbed:?}"));
    }
    for point in &points {
        let (folder, ended) = scene.run(prepared, fault, Some((&point.call, &fault.at(point.nth))));
        let answers = Answers::read(folder.path());
        let judged = judge_process(&ended, &answers, &expected.steps, fault)
            .and_then(|()| judge_file(folder.path(), &answers, &expected));
        judged.map_err(|why| format!("{point:?}: {why}\n{answers:?}\n{}", ended.complaints))?;
    }
    Ok(points.len())
}

/// How the verdict on a file begins that holds something else than it may.
pub(crate) const DIFFERENT: &str = "these tables differ from those after:";

/// What the child said, by step.
#[derive(Debug)]
struct Answers(BTreeMap<String, (String, String)>);

impl Answers {
    fn read(folder: &Path) -> Self {
        // Whoever is killed early has said nothing.
        let text = std::fs::read_to_string(folder.join(ANSWERS)).unwrap_or_default();
        let answers = text.lines().filter(|line| *line != BEGUN).map(|line| {
            let mut words = line.splitn(3, ' ').map(str::to_owned);
            let mut word = || words.next().unwrap_or_default();
            (word(), (word(), word()))
        });
        Self(answers.collect())
    }

    fn code(&self, step: &str) -> Option<&str> {
        self.0.get(step).map(|(code, _)| code.as_str())
    }

    /// The secret that a step has handed out.
    fn secret(&self, step: &str) -> Option<&str> {
        self.0.get(step).map(|(_, secret)| secret.as_str()).filter(|secret| !secret.is_empty())
    }
}

/// What undisturbed processes leave behind.
struct Expected {
    /// What may be found done or not.
    steps: Vec<&'static str>,
    /// After each choice of the steps.
    contents: Vec<(BTreeSet<&'static str>, Contents)>,
    /// What each step hands out: randomness follows from a seed.
    secrets: BTreeMap<&'static str, String>,
}

impl Expected {
    fn of(scene: Scene, fault: &Fault, prepared: &Prepared) -> Result<Self, String> {
        let steps = scene.acts(fault);
        let choices = steps.iter().fold(vec![Vec::new()], |choices, step| {
            let with = |choice: &Vec<_>| [choice.as_slice(), &[*step]].concat();
            let more = choices.iter().map(with).collect::<Vec<_>>();
            [choices, more].concat()
        });
        let (mut contents, mut secrets) = (Vec::new(), BTreeMap::new());
        for choice in choices {
            let folder = scene.run_undisturbed(prepared, &choice);
            let answers = Answers::read(folder.path());
            for step in &choice {
                secrets.extend(answers.secret(step).map(|secret| (*step, secret.to_owned())));
            }
            let _world = World::open(folder.path(), Draws::Judge).map_err(|it| it.to_string())?;
            let left = Contents::read(&folder.path().join(DATABASE))?;
            contents.push((choice.into_iter().collect(), left));
        }
        // The first choice is nothing, the second the first step.
        let changed = contents[0].1.differing(&contents[1].1);
        if changed != scene.changes() {
            return Err(format!("undisturbed it changes {changed:?}"));
        }
        Ok(Self { steps, contents, secrets })
    }
}

/// Whether the fault has hit, and the process has taken it as it must.
fn judge_process(
    ended: &Ended,
    answers: &Answers,
    steps: &[&str],
    fault: &Fault,
) -> Result<(), String> {
    if !ended.was_hit() {
        return Err("it was not reached".into());
    }
    if fault.kills() {
        return Ok(());
    }
    if !ended.status.success() || !ended.complaints.is_empty() {
        return Err(format!("it ended with {}", ended.status));
    }
    let codes: Option<Vec<_>> = steps.iter().map(|step| answers.code(step)).collect();
    match codes.as_deref() {
        None => Err("it did not answer".into()),
        // The store writes over what a failed commit left, so that it knows its outcome.
        Some(codes) if !fault.stays && codes.contains(&"store_indeterminate") => {
            Err("after one error an operation does not know its outcome".into())
        }
        Some(_) => Ok(()),
    }
}

/// Whether the file opens and holds what was acknowledged, nothing by halves, and works.
fn judge_file(folder: &Path, answers: &Answers, expected: &Expected) -> Result<(), String> {
    let world = World::open(folder, Draws::Judge)
        .map_err(|error| format!("it does not open again: {error:?}"))?;
    let left = Contents::read(&folder.join(DATABASE))?;
    let possible = expected.contents.iter().filter(|(done, _)| {
        expected.steps.iter().all(|step| match answers.code(step) {
            Some("ok") => done.contains(step),
            Some("store_unavailable") => !done.contains(step),
            // It was killed before it could say, or says itself that it does not know.
            None | Some("store_indeterminate") => true,
            Some(_) => false,
        })
    });
    let Some((done, _)) = possible.clone().find(|(_, contents)| *contents == left) else {
        let differing: Vec<_> =
            possible.map(|(done, contents)| (done, contents.differing(&left))).collect();
        return Err(format!("{DIFFERENT} {differing:?}"));
    };
    for (step, secret) in &expected.secrets {
        if answers.secret(step).is_some_and(|said| said != secret) {
            return Err(format!("{step} hands out another secret"));
        }
        if world.accepts(secret) != done.contains(step) {
            return Err(format!("the secret of {step} is not as after {done:?}"));
        }
    }
    for (name, works) in SECRETS.iter().filter(|(name, _)| world.secrets.contains_key(*name)) {
        let ended = done.iter().any(|step| operation::ends(step, name));
        if world.accepts(&world.secrets[*name]) != (*works && !ended) {
            return Err(format!("{name} is not as after {done:?}"));
        }
    }
    let request = IssueRequest::new(owner_named("carol"), Grant::Full);
    let (secret, _) = block_on(world.tokens.issue(request, By::Host(&Actor::host())))
        .map_err(|error| format!("it accepts nothing new: {error:?}"))?;
    if !world.accepts(secret.expose_secret()) {
        return Err("what is new does not work".into());
    }
    Ok(())
}
