//! A live stream over HTTP-FLV, into pieces.

use std::time::Instant;

use url::Url;

use crate::flv::{Cut, Cutter};
use crate::platform::media::MediaStream;
use crate::recording::Container;

use super::pieces::{Begin, Pieces};
use super::{Context, Ended, Failure};

/// Records a stream until it ends, one way or another.
pub(super) async fn record(context: &Context, url: &Url, pieces: &mut Pieces<'_>) -> Result<Ended, Failure> {
    let opened = tokio::select! {
        biased;
        () = context.stop.cancelled() => return Ok(Ended::Stopped),
        opened = context.tools.media.open(url.as_str(), 0) => opened,
    };
    match opened {
        Ok(Some(stream)) => follow(context, stream, pieces).await,
        // A stream that is asked for from its beginning is never past its end.
        Ok(None) => Ok(Ended::interrupted("the media server has nothing of it")),
        Err(error) => Ok(Ended::interrupted(error.to_string())),
    }
}

async fn follow(context: &Context, mut stream: MediaStream, pieces: &mut Pieces<'_>) -> Result<Ended, Failure> {
    let stall = context.job.stall;
    let mut cutter = Cutter::new();
    // Sound may go on while pictures do not come.
    let (mut latest, mut advanced) = (None, Instant::now());
    loop {
        let next = tokio::select! {
            biased;
            () = context.stop.cancelled() => return Ok(Ended::Stopped),
            next = stream.next() => next,
        };
        let bytes = match next {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Ended::interrupted("the platform ended the stream")),
            Err(error) => return Ok(Ended::interrupted(error.to_string())),
        };
        let arrival = pieces.now();
        let mut written = Ok(());
        let cut = cutter.push(&bytes, |cut| {
            if written.is_ok() {
                written = match cut {
                    Cut::Begins { milliseconds: media, seam, before } => {
                        pieces.begin(Begin { container: Container::Flv, arrival, media, seam, before, step: 0 })
                    }
                    Cut::Bytes(bytes) => pieces.append(bytes),
                };
            }
        });
        written?;
        if let Some(media) = cutter.latest() {
            pieces.heard(arrival, media)?;
        }
        pieces.settle().await?;
        cutter.unmark();
        if let Some(media) = pieces.next_cut() {
            cutter.mark(media);
        }
        if cutter.latest() != latest {
            (latest, advanced) = (cutter.latest(), Instant::now());
        }
        if latest.is_some_and(|media| pieces.is_over(media)) {
            return Ok(Ended::Over);
        }
        if latest.is_some_and(|media| pieces.waits_in_vain(media)) {
            return Ok(Ended::interrupted("no keyframe came, with which a new file could begin"));
        }
        if let Err(error) = cut {
            return Ok(Ended::interrupted(error.to_string()));
        }
        if let Some(known_until) = pieces.lost_after(arrival) {
            return Ok(Ended::Lost { known_until });
        }
        if pieces.problem.is_some() {
            return Ok(Ended::interrupted("what came cannot be used"));
        }
        if advanced.elapsed() >= stall {
            let why = format!("bytes came, but no picture for {} s", stall.as_secs_f64());
            return Ok(Ended::interrupted(why));
        }
        if let Some(ended) = context.tell_codec(pieces) {
            return Ok(ended);
        }
    }
}
