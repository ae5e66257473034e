//! What lies below the root, folder by folder, whoever put it there.

use std::fs;
use std::io;

use chrono::NaiveDate;

use super::{Found, Named, Vault, VaultError, failed, name};
use crate::device::DeviceId;

/// How many names of what is none of ours are kept.
const MOST_NAMES: usize = 20;

/// What lies among the recordings and is none of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strangers {
    /// How many files and folders.
    pub count: u64,
    /// The names of the first ones, below the root.
    pub first: Vec<String>,
}

impl Strangers {
    fn note(&mut self, path: String) {
        self.count += 1;
        if self.first.len() < MOST_NAMES {
            self.first.push(path);
        }
    }
}

impl Vault {
    /// The devices that have a folder, in order. Files in the root itself are passed over, and so is what begins with a dot.
    pub fn devices(&self, strangers: &mut Strangers) -> Result<Vec<DeviceId>, VaultError> {
        let mut devices = Vec::new();
        for (name, is_folder) in self.entries("")? {
            let device = name.parse().ok().filter(|device: &DeviceId| device.to_string() == name);
            match device {
                Some(device) if is_folder => devices.push(device),
                _ if is_folder && !name.starts_with('.') => strangers.note(name),
                _ => {}
            }
        }
        devices.sort_unstable();
        Ok(devices)
    }

    /// The folders of a device's local days, below the root and in order.
    pub fn day_folders(&self, device: DeviceId, strangers: &mut Strangers) -> Result<Vec<String>, VaultError> {
        let mut folders = Vec::new();
        for (name, is_folder) in self.entries(&device.to_string())? {
            let day = name.parse().ok().map(|day: NaiveDate| name::folder(device, day));
            let path = format!("{device}/{name}");
            match day {
                Some(folder) if is_folder && folder == path => folders.push(folder),
                _ => strangers.note(path),
            }
        }
        folders.sort_unstable();
        Ok(folders)
    }

    /// The recordings' files in such a folder, in the order of their time.
    pub fn recordings_in(&self, folder: &str, strangers: &mut Strangers) -> Result<Vec<Found>, VaultError> {
        let mut found = Vec::new();
        for (name, is_folder) in self.entries(folder)? {
            let path = format!("{folder}/{name}");
            match name::parse_path(&path) {
                Some(named) if !is_folder => found.push(Found { named, path }),
                _ => strangers.note(path),
            }
        }
        found.sort_by(|one, other| (one.named.range, &one.path).cmp(&(other.named.range, &other.path)));
        Ok(found)
    }

    /// What a recording's name below the root says, and the size of its file; nothing when it is no such name, or no file stands
    /// under it.
    pub fn measure(&self, relative: &str) -> Result<Option<(Named, u64)>, VaultError> {
        let Some(named) = name::parse_path(relative) else { return Ok(None) };
        if let Some(objects) = &self.objects {
            return Ok(objects.size_of(relative)?.map(|bytes| (named, bytes)));
        }
        let path = self.path_of(relative);
        match fs::metadata(&path) {
            Ok(file) => Ok(file.is_file().then_some((named, file.len()))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(failed("look for", &path)(error)),
        }
    }

    /// The names in a folder below the root, and whether each is a folder.
    fn entries(&self, folder: &str) -> Result<Vec<(String, bool)>, VaultError> {
        if let Some(objects) = &self.objects {
            let entries = objects.entries(folder)?.into_iter();
            return Ok(entries.map(|(name, size)| (name, size.is_none())).collect());
        }
        let path = self.path_of(folder);
        let read = || -> io::Result<Vec<(String, bool)>> {
            let mut entries = Vec::new();
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                // A folder may be linked to from another disk.
                let is_folder = kind.is_dir() || kind.is_symlink() && entry.path().is_dir();
                entries.push((entry.file_name().to_string_lossy().into_owned(), is_folder));
            }
            Ok(entries)
        };
        read().map_err(failed("read the folder", &path))
    }
}
