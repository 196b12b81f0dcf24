//! `cargo xtask deb`: the Debian package, by dpkg-deb from tables of files; `cargo deb` would be 200 more crates to build.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::man;
use crate::run::{
    SHIPPED, build_shipped, command, install_debian, is_there, output, root, say, show, target,
};

/// From the workspace's root to the package: file, folder or name there.
const FILES: [(&str, &str); 18] = [
    ("systemd/dbal-broker.service", "usr/lib/systemd/system/"),
    ("systemd/dbal-broker.socket", "usr/lib/systemd/system/"),
    ("systemd/dbal-broker-admin.socket", "usr/lib/systemd/system/"),
    ("systemd/dbal-worker.service", "usr/lib/systemd/system/"),
    ("systemd/dbal-worker.socket", "usr/lib/systemd/system/"),
    ("systemd/dbal-audit.service", "usr/lib/systemd/system/"),
    ("systemd/dbal.sysusers", "usr/lib/sysusers.d/dbal.conf"),
    ("systemd/dbal.tmpfiles", "usr/lib/tmpfiles.d/dbal.conf"),
    ("deploy/deb/copyright", "usr/share/doc/dbal/"),
    ("README.md", "usr/share/doc/dbal/"),
    ("SECURITY.md", "usr/share/doc/dbal/"),
    ("deploy/deb/README.Debian", "usr/share/doc/dbal/"),
    ("deploy/deb/lintian-overrides", "usr/share/lintian/overrides/dbal"),
    ("deploy/deb/examples/broker.yaml", "usr/share/doc/dbal/examples/"),
    ("deploy/deb/examples/worker.yaml", "usr/share/doc/dbal/examples/"),
    ("systemd/examples/tcp.conf", "usr/share/doc/dbal/examples/"),
    ("policy/examples/acl.yaml", "usr/share/doc/dbal/examples/"),
    ("deploy/monitoring/alerts.yaml", "usr/share/doc/dbal/examples/"),
];

/// Folders whose files are taken, by their ending.
const FOLDERS: [(&str, &str, &str); 2] = [
    ("docs", "md", "usr/share/doc/dbal/"),
    (
        "policy/examples/entities",
        "yaml",
        "usr/share/doc/dbal/examples/entities/",
    ),
];

/// Run by dpkg; maintainer scripts in Debian's words.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// The Debian package.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Binaries that are built already; else they are built in release.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
}

/// Builds it and says where it is.
pub fn run(arguments: &Arguments) -> Outcome {
    let binaries = match &arguments.binaries {
        None => {
            build_shipped(&["--release"])?;
            target().join("release")
        }
        Some(folder) => folder.clone(),
    };
    if !is_there("dpkg-shlibdeps") || !is_there("strip") {
        install_debian(&["dpkg-dev", "binutils"]);
    }
    let tree = target().join("debian/dbal");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    install(&binaries, &tree)?;
    pages(&tree)?;
    let package = build(&tree)?;
    say(&format!("{}", package.display()));
    Ok(())
}

fn install(binaries: &Path, tree: &Path) -> Outcome {
    for name in SHIPPED {
        let to = tree.join("usr/bin").join(name);
        put(&binaries.join(name), &to, 0o755)?;
        show(command("strip", [to.as_os_str()]))?;
    }
    for (from, to) in FILES {
        put(&root().join(from), &named(tree, from, to), 0o644)?;
    }
    for (from, ending, to) in FOLDERS {
        for entry in fs::read_dir(root().join(from))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == ending) {
                put(&path, &named(tree, &path.to_string_lossy(), to), 0o644)?;
            }
        }
    }
    let changes = tree.join("usr/share/doc/dbal/changelog");
    put(&root().join("deploy/deb/changelog"), &changes, 0o644)?;
    let upstream = tree.join("usr/share/doc/dbal/CHANGELOG.md");
    put(&root().join("CHANGELOG.md"), &upstream, 0o644)?;
    compress(&[changes, upstream])
}

/// Manual pages and completions where man, bash, zsh and fish look.
fn pages(tree: &Path) -> Outcome {
    let made = target().join("man");
    man::make(&made)?;
    let mut pages = Vec::new();
    for section in ["man1", "man5", "man8"] {
        for entry in fs::read_dir(made.join("man").join(section))? {
            let entry = entry?;
            let to = tree.join("usr/share/man").join(section).join(entry.file_name());
            put(&entry.path(), &to, 0o644)?;
            pages.push(to);
        }
    }
    for name in SHIPPED {
        for (from, to) in [
            (
                format!("{name}.bash"),
                format!("bash-completion/completions/{name}"),
            ),
            (format!("_{name}"), format!("zsh/vendor-completions/_{name}")),
            (
                format!("{name}.fish"),
                format!("fish/vendor_completions.d/{name}.fish"),
            ),
        ] {
            let from = made.join("completions").join(from);
            put(&from, &tree.join("usr/share").join(to), 0o644)?;
        }
    }
    compress(&pages)
}

/// Without a time stamp, so that two builds of one source are one package.
fn compress(files: &[PathBuf]) -> Outcome {
    let mut gzip = command("gzip", ["-9", "-n"]);
    gzip.args(files);
    show(gzip)
}

fn build(tree: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let control = tree.join("DEBIAN");
    for script in SCRIPTS {
        put(
            &root().join("deploy/deb").join(script),
            &control.join(script),
            0o755,
        )?;
    }
    let version = env!("CARGO_PKG_VERSION");
    let architecture = output(command("dpkg", ["--print-architecture"]))?;
    let text = fs::read_to_string(root().join("deploy/deb/control"))?
        .replace("${version}", version)
        .replace("${architecture}", architecture.trim())
        .replace("${libraries}", &libraries(tree)?)
        .replace("${kibibytes}", &kibibytes(tree)?.to_string());
    fs::write(control.join("control"), text)?;
    let package = target().join(format!("debian/dbal_{version}_{}.deb", architecture.trim()));
    let mut build = command("dpkg-deb", ["--root-owner-group", "-Zxz", "--build"]);
    build.arg(tree).arg(&package);
    show(build)?;
    Ok(package)
}

/// The packages whose libraries the binaries load, with the versions that they need.
fn libraries(tree: &Path) -> Result<String, Box<dyn Error>> {
    // It wants a source package around it, and looks at nothing in there.
    let around = target().join("debian/source");
    fs::create_dir_all(around.join("debian"))?;
    fs::write(
        around.join("debian/control"),
        "Source: dbal\n\nPackage: dbal\nArchitecture: any\n",
    )?;
    let mut ask = command("dpkg-shlibdeps", ["-O"]);
    ask.current_dir(&around);
    ask.args(SHIPPED.map(|name| tree.join("usr/bin").join(name)));
    let told = output(ask)?;
    let libraries = told.trim().strip_prefix("shlibs:Depends=");
    libraries
        .map(str::to_owned)
        .ok_or_else(|| format!("dpkg-shlibdeps said `{told}`").into())
}

fn kibibytes(tree: &Path) -> Result<u64, Box<dyn Error>> {
    let told = output(command("du", ["-sk".as_ref(), tree.as_os_str()]))?;
    let figure = told.split_whitespace().next().unwrap_or_default();
    Ok(figure.parse()?)
}

fn named(tree: &Path, from: &str, to: &str) -> PathBuf {
    match (to.ends_with('/'), Path::new(from).file_name()) {
        (true, Some(name)) => tree.join(to).join(name),
        (true | false, _) => tree.join(to),
    }
}

fn put(from: &Path, to: &Path, mode: u32) -> Outcome {
    let failed = |error| format!("{}: {error}", from.display());
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to).map_err(failed)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_of_the_package_is_there() {
        for (from, _) in FILES {
            assert!(root().join(from).is_file(), "{from}");
        }
        for script in SCRIPTS.into_iter().chain(["control", "changelog"]) {
            assert!(root().join("deploy/deb").join(script).is_file(), "{script}");
        }
        for (folder, ending, _) in FOLDERS {
            let mut files = fs::read_dir(root().join(folder)).unwrap();
            let found = files.any(|entry| {
                entry
                    .unwrap()
                    .path()
                    .extension()
                    .is_some_and(|kind| kind == ending)
            });
            assert!(found, "{folder} has no {ending}");
        }
    }

    #[test]
    fn a_destination_is_a_folder_or_a_name() {
        let tree = Path::new("/t");
        assert_eq!(
            named(tree, "systemd/a.service", "usr/lib/"),
            Path::new("/t/usr/lib/a.service")
        );
        assert_eq!(
            named(tree, "systemd/dbal.sysusers", "usr/lib/dbal.conf"),
            Path::new("/t/usr/lib/dbal.conf")
        );
    }
}
