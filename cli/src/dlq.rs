//! `afferent dlq`: the records that could not be processed or delivered.
//!
//! Payloads hold health values: they are shown and written only with `--reveal`.

use afferent::{
    afferent_core::{
        CheckpointStore, DeadLetter, Error, LetterId, Name, Result,
        reject::{Fate, Payload},
    },
    formats::wire,
    runtime::Runtime,
};
use serde_json::json;

use crate::{
    args::{DlqCommand, Global},
    drive::{PATIENCE, not_started, open},
    exit::Exit,
    numbers::{count, counted},
    ui::Ui,
};

/// All but `retry`, which is a run of the pipeline.
pub(crate) async fn dlq(command: &DlqCommand, global: &Global, ui: &Ui) -> Exit {
    match go(command, global, ui).await {
        Ok(exit) => exit,
        Err(error) => not_started(&error, ui),
    }
}

async fn go(command: &DlqCommand, global: &Global, ui: &Ui) -> Result<Exit> {
    let runtime = open(global).await?;
    let exit = match command {
        DlqCommand::Ls { pipeline: None, .. } => overview(&runtime, ui).await,
        DlqCommand::Ls { pipeline: Some(pipeline), limit } => list(&runtime, pipeline, *limit, ui).await,
        DlqCommand::Show { pipeline, id, reveal } => show(&runtime, pipeline, *id, *reveal, ui).await,
        DlqCommand::Export { pipeline, reveal } => export(&runtime, pipeline, *reveal, ui).await,
        DlqCommand::Retry(_) => return Err(Error::bug("`retry` is a command of its own")),
        DlqCommand::Drop { pipeline, ids, all, yes } => {
            let ids = (!all).then(|| ids.clone());
            drop_letters(&runtime, pipeline, ids, *yes, ui).await
        }
    };
    runtime.shutdown(PATIENCE).await?;
    exit
}

/// How many dead letters each pipeline has.
async fn overview(runtime: &Runtime, ui: &Ui) -> Result<Exit> {
    let mut rows = Vec::new();
    for pipeline in runtime.store().pipelines().await? {
        let letters = runtime.store().count_dead_letters(&pipeline).await?;
        if letters > 0 {
            rows.push((pipeline, letters));
        }
    }
    if ui.is_json() {
        for (pipeline, letters) in &rows {
            ui.json(&json!({ "pipeline": pipeline.as_str(), "dead_letters": letters }));
        }
    } else if rows.is_empty() {
        ui.say("no dead letters");
    } else {
        let width =
            rows.iter().map(|(name, _)| name.len()).chain(["pipeline".len()]).max().unwrap_or_default();
        ui.data(format_args!("{:width$}  dead letters", "pipeline"));
        for (pipeline, letters) in &rows {
            ui.data(format_args!("{pipeline:width$}  {:>12}", count(*letters)));
        }
        ui.say(format_args!("\nNext:\n  afferent dlq ls {}", rows[0].0));
    }
    Ok(Exit::Ok)
}

/// The dead letters of a pipeline, a line each, without their payloads.
async fn list(runtime: &Runtime, pipeline: &Name, limit: usize, ui: &Ui) -> Result<Exit> {
    let letters = runtime.store().letters(pipeline, None, limit).await?;
    let all = runtime.store().count_letters(pipeline).await?;
    for (id, letter) in &letters {
        if ui.is_json() {
            ui.json(&about(*id, letter));
        } else {
            let DeadLetter { stage, reason, location, time, fate, .. } = letter;
            let place = if location.is_empty() { String::new() } else { format!(" ({location})") };
            let withdrawn = if *fate == Fate::Dead { "" } else { "  withdrawn" };
            ui.data(format_args!("{id:<8}  {time}  {stage}: {reason}{place}{withdrawn}"));
        }
    }
    if letters.is_empty() {
        ui.say(format_args!("`{pipeline}` has no dead letters"));
    } else if (letters.len() as u64) < all {
        ui.say(format_args!(
            "{} of {}; --limit shows more",
            count(letters.len() as u64),
            counted(all, "dead letter")
        ));
    }
    Ok(Exit::Ok)
}

async fn show(runtime: &Runtime, pipeline: &Name, id: LetterId, reveal: bool, ui: &Ui) -> Result<Exit> {
    let letter = runtime.store().letter(pipeline, id).await?.ok_or_else(|| {
        Error::config(format!(
            "`{pipeline}` has no dead letter {id}; `afferent dlq ls {pipeline}` lists them"
        ))
    })?;
    if ui.is_json() {
        let mut value = about(id, &letter);
        if reveal {
            value["payload"] = revealed(&letter).into();
        }
        ui.json(&value);
        return Ok(Exit::Ok);
    }
    let DeadLetter { stage, payload, key, reason, location, time, incarnation, epoch, fate, .. } = &letter;
    let mut text = format!("stage     {stage}\nreason    {reason}\n");
    if !location.is_empty() {
        text += &format!("location  {location}\n");
    }
    if let Some(key) = key {
        text += &format!("record    {key}\n");
    }
    text += &format!("time      {time}\nepoch     {epoch} of {incarnation}\npayload   {}\n", kind(payload));
    if let Fate::Withdrawn(epoch) = fate {
        text += &format!("withdrawn in epoch {epoch}: its deletion or a higher revision passed\n");
    }
    text +=
        &if reveal { format!("\n{}", revealed(&letter)) } else { "\n--reveal shows the payload".to_owned() };
    ui.data(text);
    Ok(Exit::Ok)
}

/// All dead letters of a pipeline with their payloads, a JSON object a line.
async fn export(runtime: &Runtime, pipeline: &Name, reveal: bool, ui: &Ui) -> Result<Exit> {
    if !reveal {
        ui.error("payloads hold health values; say --reveal to write them");
        return Ok(Exit::Usage);
    }
    for (id, letter) in runtime.store().letters(pipeline, None, usize::MAX).await? {
        let mut value = about(id, &letter);
        value["payload"] = revealed(&letter).into();
        ui.json(&value);
    }
    Ok(Exit::Ok)
}

async fn drop_letters(
    runtime: &Runtime,
    pipeline: &Name,
    ids: Option<Vec<LetterId>>,
    yes: bool,
    ui: &Ui,
) -> Result<Exit> {
    if ids.as_ref().is_some_and(Vec::is_empty) {
        ui.error("name the dead letters to drop, or say --all");
        return Ok(Exit::Usage);
    }
    let number = match &ids {
        Some(ids) => ids.len() as u64,
        None => runtime.store().count_letters(pipeline).await?,
    };
    if !yes && !ui.confirms(format_args!("drop {} of `{pipeline}` for good?", counted(number, "dead letter")))
    {
        ui.error("nothing was dropped; say --yes to drop without being asked");
        return Ok(Exit::Usage);
    }
    let dropped = runtime.store().drop_letters(pipeline, ids).await?;
    ui.say(format_args!("dropped {}", counted(dropped, "dead letter")));
    Ok(if dropped == number { Exit::Ok } else { Exit::Check })
}

/// What is known of a letter without its payload.
fn about(id: LetterId, letter: &DeadLetter) -> serde_json::Value {
    json!({
        "id": id.to_string(),
        "time": letter.time.to_string(),
        "stage": letter.stage.as_str(),
        "reason": letter.reason,
        "location": letter.location,
        "record": letter.key,
        "kind": kind(&letter.payload),
        "withdrawn": letter.fate != Fate::Dead,
    })
}

fn kind(payload: &Payload) -> String {
    match payload {
        Payload::Record(_) => "a record".to_owned(),
        Payload::Raw(bytes) => format!("{} bytes of the input", count(bytes.len() as u64)),
        Payload::Head { head, length, .. } => {
            format!("the first {} of {} bytes of the input", count(head.len() as u64), count(*length))
        }
    }
}

/// The payload as text: a record in the wire form.
fn revealed(letter: &DeadLetter) -> String {
    let mut text = Vec::new();
    if let Some(record) = letter.payload.to_record()
        && wire::write_record(&record, &mut text).is_ok()
    {
        return String::from_utf8_lossy(&text).trim_end().to_owned();
    }
    // A record without a wire form, which may be why it is here, is shown as the bytes it is.
    let (Payload::Record(bytes) | Payload::Raw(bytes) | Payload::Head { head: bytes, .. }) = &letter.payload;
    String::from_utf8_lossy(bytes).into_owned()
}
