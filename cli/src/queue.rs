//! `afferent queue`: who reads the queues between pipelines, and taking one off the list.

use afferent::{
    afferent_core::{Error, Result, blocking::Blocking, queue::disk::Registered},
    runtime::Runtime,
};
use serde_json::json;

use crate::{
    args::{Global, QueueCommand},
    drive::{PATIENCE, not_started, open},
    exit::Exit,
    numbers::counted,
    ui::Ui,
};

pub(crate) async fn queue(command: &QueueCommand, global: &Global, ui: &Ui) -> Exit {
    match go(command, global, ui).await {
        Ok(exit) => exit,
        Err(error) => not_started(&error, ui),
    }
}

async fn go(command: &QueueCommand, global: &Global, ui: &Ui) -> Result<Exit> {
    let runtime = open(global).await?;
    let done = match command {
        QueueCommand::Ls => list(&runtime, ui).await,
        QueueCommand::Detach { queue, pipeline } => {
            let gone = runtime.queues().dismiss(pipeline, Some(queue), &Blocking::new()).await;
            gone.and_then(|gone| {
                if gone.is_empty() {
                    return Err(Error::config(format!(
                        "pipeline `{pipeline}` is not registered as a reader of queue `{queue}`; `afferent queue ls` lists them"
                    )));
                }
                for consumer in gone {
                    ui.say(format_args!("queue `{queue}` no longer keeps anything for `{consumer}`"));
                }
                Ok(())
            })
        }
    };
    runtime.shutdown(PATIENCE).await?;
    done.map(|()| Exit::Ok)
}

async fn list(runtime: &Runtime, ui: &Ui) -> Result<()> {
    let registered = runtime.queues().registered(&Blocking::new()).await?;
    for Registered { queue, consumer, entries, .. } in &registered {
        let (pipeline, source) = (consumer.pipeline.as_str(), consumer.stage.as_str());
        if ui.is_json() {
            let queue = queue.as_str();
            ui.json(&json!({ "queue": queue, "pipeline": pipeline, "source": source, "unread": entries }));
        } else {
            let waiting = if *entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") };
            ui.data(format_args!("{queue}  {pipeline}  {source}  {waiting} unread"));
        }
    }
    if registered.is_empty() {
        ui.say("no pipeline reads a queue of this state directory");
    } else {
        ui.say(counted(registered.len() as u64, "reader"));
    }
    Ok(())
}
