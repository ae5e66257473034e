//! Copies of recordings as they are, in one folder with their manifest.

use std::io::Write as _;
use std::path::Path;

use crate::time_range::UtcSecond;
use crate::vault::{Vault, failed, make_folder};

use super::place::{self, Part};
use super::{ExportError, Exported, Wanted, json, manifest, source};
use crate::recording::ContentHash;

/// What the manifest is called.
const MANIFEST: &str = "manifest.json";

/// Copies the recordings that have any of what is wanted into `folder`, whole. A name there is replaced only when `force` says so;
/// the manifest is written last. Blocks on the disks.
pub fn originals(
    vault: &Vault,
    wanted: &[Wanted],
    folder: &Path,
    force: bool,
    now: UtcSecond,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Exported, ExportError> {
    if wanted.iter().all(|one| one.recordings.is_empty()) {
        return Err(ExportError::Nothing);
    }
    let manifest_path = folder.join(MANIFEST);
    if !force {
        place::must_not_be_there(&manifest_path)?;
    }
    make_folder(folder)?;
    let mut manifest = manifest(wanted, now);
    let recordings = wanted.iter().flat_map(|one| &one.recordings);
    for (recording, file) in recordings.zip(&mut manifest.sources) {
        // OK: a name below the root ends in a file's name, which says the camera and the moment.
        let name = recording.path.rsplit('/').next().unwrap_or(&recording.path);
        let (part, mut copy) = Part::create(&folder.join(name))?;
        let copied = source::read(vault, recording, is_stopped, |bytes| {
            Ok(copy.write_all(bytes).map_err(failed("write to", part.path()))?)
        })?;
        match copied {
            Ok(()) => {
                part.place(&copy, force)?;
                file.copy = Some(name.to_owned());
            }
            Err(problem) => file.problem = Some(problem),
        }
    }
    let json = json(&manifest)?;
    place::write(&manifest_path, json.as_bytes(), force)?;
    let manifest_blake3 = ContentHash(*blake3::hash(json.as_bytes()).as_bytes());
    Ok(Exported { manifest, json, output: folder.to_owned(), manifest_path, manifest_blake3 })
}
