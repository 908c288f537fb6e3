//! Saving while processes are killed, disks are full and folders are not to be written to: the old file or the new one, whole.

use crate::folder::Folder;
use ndarray_rand::rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rarefy::formats::{SafetensorsFile, SafetensorsWriter};
use rarefy::tensors::{DType, TensorInfo, TensorSource, TensorSourceExt};
use rarefy::{Error, FileError, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Bytes of a tensor, and how many there are.
const SIZE: usize = 1 << 20;
const TENSORS: usize = 3;

/// Writes a file whose every byte is `generation`.
fn save(path: &Path, generation: u8) -> Result<()> {
    let infos = (0..TENSORS)
        .map(|n| TensorInfo::new(format!("t.{n}"), DType::U8, [SIZE]))
        .collect();
    let mut writer = SafetensorsWriter::create(path, infos, BTreeMap::new())?;
    let part = vec![generation; SIZE / 8];
    for tensor in (0..TENSORS).rev() {
        for _ in 0..8 {
            writer.append(&format!("t.{tensor}"), &part)?;
        }
    }
    writer.finish()
}

/// The generation of a file, which must be whole and of one.
fn generation(path: &Path) -> u8 {
    let file = SafetensorsFile::open(path).unwrap();
    assert_eq!(file.infos().len(), TENSORS);
    let first = file.tensor("t.0").unwrap().bytes()[0];
    for info in file.infos() {
        let tensor = file.tensor(&info.name).unwrap();
        assert!(
            tensor.bytes().iter().all(|&byte| byte == first),
            "{} is of two",
            info.name
        );
    }
    first
}

fn names(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(&folder.0).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What the killed process runs: this very program, with the place of the file in its environment.
#[cfg(unix)]
#[test]
fn a_process_that_saves_until_it_is_killed() {
    let Ok(path) = std::env::var("RAREFY_SAVES_TO") else {
        return;
    };
    let from = generation(Path::new(&path));
    for step in 1.. {
        save(Path::new(&path), from.wrapping_add(step)).unwrap();
    }
}

/// `RAREFY_KILLS=200` kills more often.
#[cfg(unix)]
#[test]
fn no_kill_tears_a_file() {
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};
    use std::time::Duration;
    let kills = std::env::var("RAREFY_KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok())
        .unwrap_or(20);
    let folder = Folder::made("saves-killed");
    let path = folder.file();
    save(&path, 0).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let (mut partial, mut saved, mut last) = (0, 0, 0);
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "saves::a_process_that_saves_until_it_is_killed",
                "--nocapture",
            ])
            .env("RAREFY_SAVES_TO", &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(random.random_range(10_000..120_000)));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(9),
            "kill {kill}: {status}"
        );
        let now = generation(&path);
        saved += usize::from(now.wrapping_sub(last));
        last = now;
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o640
        );
        let names = names(&folder);
        assert!(
            names.len() <= 2 && names[0] == "values.safetensors",
            "{names:?}"
        );
        if let Some(other) = names.get(1) {
            assert_eq!(other, "values.safetensors.partial");
            partial += 1;
        }
    }
    println!(
        "{kills} kills, none torn; {saved} files were saved, {partial} half-written ones were left"
    );
    assert!(
        saved > 0 && partial > 0,
        "the kills come at the wrong moments"
    );
    save(&path, 1).unwrap();
    assert_eq!(
        names(&folder),
        ["values.safetensors"],
        "what a kill left is overwritten"
    );
    assert_eq!(generation(&path), 1);
}

/// What is half-written is sent to a device that has no room, so that every write of it fails as on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_the_old_file_stays() {
    let folder = Folder::made("saves-full");
    let path = folder.file();
    let partial = folder.0.join("values.safetensors.partial");
    let full = |error: Error| {
        let Error::File(FileError::Failed { action, source, .. }) = &error else {
            panic!("{error}")
        };
        assert_eq!(
            (*action, source.kind()),
            ("write", std::io::ErrorKind::StorageFull),
            "{error}"
        );
        assert_eq!(names(&folder), ["values.safetensors"]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
    };
    fs::write(&path, b"old").unwrap();
    let fill = || std::os::unix::fs::symlink("/dev/full", &partial).unwrap();
    fill();
    full(save(&path, 1).unwrap_err());
    #[cfg(feature = "masks")]
    {
        fill();
        full(
            rarefy::formats::MaskFile::default()
                .write(&path)
                .unwrap_err(),
        );
    }
    #[cfg(feature = "calibration")]
    {
        fill();
        full(
            rarefy::formats::CalibrationFile::default()
                .write(&path)
                .unwrap_err(),
        );
    }
    #[cfg(feature = "npy")]
    {
        fill();
        full(rarefy::formats::write_npy(&path, &ndarray::array![1.0]).unwrap_err());
        fill();
        let mut writer = rarefy::formats::NpzWriter::create(&path).unwrap();
        let error = writer.write("a", &ndarray::array![1.0]).unwrap_err();
        drop(writer);
        full(error);
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_written_to_is_an_error_and_the_old_file_stays() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::made("saves-read-only");
    let path = folder.file();
    fs::write(&path, b"old").unwrap();
    let mode = |mode| fs::set_permissions(&folder.0, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o555);
    let is_root = fs::write(folder.0.join("probe"), b"").is_ok();
    let saved = save(&path, 1);
    mode(0o755);
    if is_root {
        println!("not run: this user may write to read-only folders");
        return;
    }
    assert!(matches!(
        saved,
        Err(Error::File(FileError::Failed {
            action: "write",
            ..
        }))
    ));
    assert_eq!(
        (names(&folder), fs::read(&path).unwrap()),
        (vec!["values.safetensors".to_owned()], b"old".to_vec())
    );
}
