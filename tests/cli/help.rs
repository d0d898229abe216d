use super::place::Place;

#[test]
fn help() {
    for command in ["", "split", "cat", "stats", "bundle", "fetch", "replay", "demo", "completions", "man"] {
        let ran = Place::new().run(&format!("{command} --help")).ends_with(0);
        assert_eq!(ran.stderr, "");
        if cfg!(feature = "http") && ["split", "cat", "stats", "bundle"].contains(&command) {
            assert!(
                ran.out().contains("\nNetwork:\n") && ran.out().contains("--bearer-env <VAR>"),
                "{}",
                ran.out()
            );
            continue;
        }
        let name = match command {
            "" if cfg!(feature = "serve") => "help_serve".to_owned(),
            "" if cfg!(feature = "connect") => "help_connect".to_owned(),
            "" => "help".to_owned(),
            // A server is asked by a build that can.
            "fetch" if cfg!(feature = "http") => "help_fetch_http".to_owned(),
            command => format!("help_{command}"),
        };
        insta::assert_snapshot!(name, ran.out());
    }
}

#[test]
fn no_arguments_at_all_show_the_help() {
    let place = Place::new();
    assert_eq!(place.run("").ends_with(2).stderr, place.run("-h").ends_with(0).out());
}

#[test]
fn the_version() {
    assert_eq!(
        Place::new().run("--version").ends_with(0).out(),
        concat!("fhirline ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn man_pages() {
    let place = Place::new();
    let ran = place.run("man").ends_with(0);
    assert!(ran.out().contains(".TH fhirline 1") && ran.out().contains("fhirline\\-split"), "{}", ran.out());
    place.run("man pages").ends_with(0);
    let files = place.files("pages");
    for page in ["fhirline.1", "fhirline-split.1", "fhirline-cat.1", "fhirline-stats.1", "fhirline-demo.1"] {
        assert!(files.iter().any(|file| file == page), "{files:?}");
    }
    assert!(place.text("pages/fhirline-split.1").contains("Exit status"));
}

#[test]
fn completions() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let ran = place.run(&format!("completions {shell}")).ends_with(0);
        assert!(ran.out().contains("max-file-records"), "{shell}");
    }
    place.shell("fhirline completions bash > completions && bash -n completions").ends_with(0);
    place.run("completions tcsh").ends_with(2);
}
