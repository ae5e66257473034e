//! `archive man` and `archive completions`: what a package brings beside the program, made from its arguments.

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::cli::{Cli, CompletionsArgs, ManArgs};
use crate::exit_code::ExitCode;

use super::print;

pub(super) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let folder = args.folder.display();
    std::fs::create_dir_all(&args.folder).with_context(|| format!("cannot make the folder {folder}"))?;
    clap_mangen::generate_to(Cli::command(), &args.folder)
        .with_context(|| format!("cannot write manual pages into {folder}"))?;
    Ok(ExitCode::Complete)
}

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "archive", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::Complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_each_command() {
        let folder = tempfile::tempdir().expect("a folder");
        let pages = folder.path().join("man1");
        man(&ManArgs { folder: pages.clone() }).expect("they are written");
        for command in Cli::command().get_subcommands() {
            let page = std::fs::read_to_string(pages.join(format!("archive-{}.1", command.get_name())));
            let page = page.unwrap_or_else(|error| panic!("{}: {error}", command.get_name()));
            assert!(page.contains(".TH archive-"), "{page}");
        }
        let main = std::fs::read_to_string(pages.join("archive.1")).expect("the program's own");
        assert!(main.contains("Exit codes"), "{main}");
    }
}
