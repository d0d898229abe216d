//! What every store must do: one check for each line of the contract in `fhirline_core::Store` and `Partial`.

use std::io::ErrorKind;
use std::thread;

use fhirline_core::{Partial, Store};

/// Runs all checks, each on a store of its own that `new_store` makes empty.
pub(crate) fn check<S: Store>(mut new_store: impl FnMut() -> S) {
    let checks: [fn(&dyn Store); 23] = [
        a_new_store_is_empty_and_has_a_name,
        nobody_sees_a_final_name_before_it_is_sealed,
        creating_replaces_what_was_left,
        appended_bytes_can_be_read_anywhere,
        truncated_outputs_go_on_at_their_new_end,
        a_resumed_output_goes_on_where_it_was_left,
        resuming_cuts_back,
        what_is_not_there_or_too_short_is_not_resumed,
        resumed_outputs_grow_together,
        replacing_leaves_the_new_one_and_nothing_else,
        a_provisional_name_can_be_replaced,
        whoever_looks_finds_one_of_the_replaced_whole,
        a_replaced_name_stands_in_the_way_like_any_other,
        a_small_object_can_be_replaced_by_nothing,
        sealing_never_replaces,
        a_discarded_output_is_gone,
        an_output_removed_under_its_writer_is_not_presented,
        put_never_replaces,
        one_of_many_puts_wins,
        get_keeps_to_its_bound,
        names_are_listed_in_order_of_their_bytes,
        removing_is_no_error_twice,
        names_that_lead_out_are_refused,
    ];
    for check in checks {
        check(&new_store());
    }
    many_outputs_grow_together(&new_store());
}

fn kind<T>(result: std::io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn list(store: &dyn Store) -> Vec<String> {
    store.list().expect("listed")
}

fn content(store: &dyn Store, name: &str) -> Option<String> {
    store.get(name, 1 << 20).expect("readable").map(|bytes| String::from_utf8(bytes).expect("UTF-8"))
}

fn create(store: &dyn Store, name: &str, content: &str) -> Box<dyn Partial> {
    let mut partial = store.create(name).expect("created");
    partial.append(content.as_bytes()).expect("appended");
    partial
}

fn a_new_store_is_empty_and_has_a_name(store: &dyn Store) {
    assert!(!store.name().is_empty());
    assert!(list(store).is_empty());
    store.sync().expect("synced");
}

fn nobody_sees_a_final_name_before_it_is_sealed(store: &dyn Store) {
    let mut partial = create(store, "a", "12");
    assert_eq!(list(store), ["a.partial"]);
    assert_eq!(content(store, "a"), None);
    assert_eq!(content(store, "a.partial").as_deref(), Some("12"));
    partial.append(b"3").expect("appended");
    partial.sync().expect("synced");
    partial.seal().expect("sealed");
    assert_eq!(list(store), ["a"]);
    assert_eq!(content(store, "a").as_deref(), Some("123"));
    store.sync().expect("synced");
}

fn creating_replaces_what_was_left(store: &dyn Store) {
    drop(create(store, "a", "left by an earlier run"));
    assert_eq!(list(store), ["a.partial"]);
    let partial = store.create("a").expect("created");
    assert_eq!(partial.stored_bytes(), 0);
    assert_eq!(content(store, "a.partial").as_deref(), Some(""));
    partial.seal().expect("sealed");
    drop(store.create("a").expect("a final name does not stand in the way of a new provisional one"));
    assert_eq!(list(store), ["a", "a.partial"]);
}

fn appended_bytes_can_be_read_anywhere(store: &dyn Store) {
    let mut partial = create(store, "a", "12");
    partial.append(b"").expect("appended");
    partial.append(b"345").expect("appended");
    assert_eq!(partial.stored_bytes(), 5);
    let mut read = |offset, length| {
        let mut into = vec![0; length];
        let count = partial.read_at(offset, &mut into).expect("read");
        into.truncate(count);
        into
    };
    assert_eq!(read(0, 2), b"12");
    assert_eq!(read(1, 9), b"2345");
    assert_eq!(read(5, 9), b"");
    assert_eq!(read(99, 9), b"");
    assert_eq!(read(0, 0), b"");
    partial.append(b"6").expect("reading does not move the end");
    assert_eq!(content(store, "a.partial").as_deref(), Some("123456"));
}

fn truncated_outputs_go_on_at_their_new_end(store: &dyn Store) {
    let mut partial = create(store, "a", "12345");
    partial.truncate(2).expect("truncated");
    assert_eq!(partial.stored_bytes(), 2);
    partial.append(b"x").expect("appended");
    partial.truncate(3).expect("no change");
    assert_eq!(kind(partial.truncate(4)), Some(ErrorKind::InvalidInput));
    assert_eq!((partial.stored_bytes(), content(store, "a.partial").as_deref()), (3, Some("12x")));
    partial.truncate(0).expect("truncated");
    partial.append(b"new").expect("appended");
    partial.seal().expect("sealed");
    assert_eq!(content(store, "a").as_deref(), Some("new"));
}

fn resume(store: &dyn Store, name: &str, stored_bytes: u64) -> Option<Box<dyn Partial>> {
    store.resume(name, stored_bytes).expect("no refusal")
}

fn a_resumed_output_goes_on_where_it_was_left(store: &dyn Store) {
    for name in ["a", "sub/a"] {
        drop(create(store, name, "12"));
        let mut partial = resume(store, name, 2).expect("left there");
        assert_eq!(partial.stored_bytes(), 2);
        let mut into = [0; 9];
        assert_eq!(partial.read_at(1, &mut into).expect("read"), 1);
        assert_eq!(into[0], b'2');
        partial.append(b"34").expect("appended");
        drop(partial);
        let mut partial = resume(store, name, 4).expect("left there again");
        partial.append(b"5").expect("appended");
        partial.sync().expect("synced");
        partial.seal().expect("sealed");
        assert_eq!(content(store, name).as_deref(), Some("12345"));
        assert!(resume(store, name, 0).is_none(), "a sealed output is not resumed");
    }
    assert_eq!(list(store), ["a", "sub/a"]);
}

fn resuming_cuts_back(store: &dyn Store) {
    drop(create(store, "a", "12345"));
    let partial = resume(store, "a", 3).expect("left there");
    assert_eq!(partial.stored_bytes(), 3);
    assert_eq!(content(store, "a.partial").as_deref(), Some("123"), "at once, not with the next append");
    drop(partial);
    assert!(resume(store, "a", 4).is_none(), "what was cut off is gone");
    let mut partial = resume(store, "a", 3).expect("left there");
    partial.append(b"x").expect("appended");
    partial.truncate(1).expect("truncated");
    drop(partial);
    let mut partial = resume(store, "a", 0).expect("left there");
    assert_eq!(partial.stored_bytes(), 0);
    partial.append(b"new").expect("appended");
    partial.seal().expect("sealed");
    assert_eq!(content(store, "a").as_deref(), Some("new"));
}

fn what_is_not_there_or_too_short_is_not_resumed(store: &dyn Store) {
    create(store, "sealed", "123").seal().expect("sealed");
    create(store, "discarded", "123").discard().expect("discarded");
    drop(create(store, "short", "123"));
    for name in ["absent", "nowhere/a", "sealed", "sealed/a", "discarded"] {
        assert!(resume(store, name, 0).is_none(), "{name}");
    }
    for stored_bytes in [4, u64::MAX] {
        assert!(resume(store, "short", stored_bytes).is_none());
    }
    assert_eq!(list(store), ["sealed", "short.partial"], "nothing is made or removed");
    assert_eq!(content(store, "short.partial").as_deref(), Some("123"), "it stays as it was");
}

fn resumed_outputs_grow_together(store: &dyn Store) {
    let names: Vec<_> = (0..20).map(|i| format!("{i:02}")).collect();
    for name in &names {
        drop(create(store, name, &format!("{name}?")));
    }
    let mut partials: Vec<_> = names.iter().map(|name| resume(store, name, 2).expect("left there")).collect();
    for round in ["a", "b"] {
        for partial in &mut partials {
            partial.append(round.as_bytes()).expect("appended");
        }
    }
    partials.into_iter().for_each(|partial| partial.seal().expect("sealed"));
    for name in &names {
        assert_eq!(content(store, name), Some(format!("{name}ab")));
    }
}

fn replacing_leaves_the_new_one_and_nothing_else(store: &dyn Store) {
    for durable in [false, true] {
        for name in ["a", "sub/deep/a"] {
            for new in ["first", "second, and longer", "3"] {
                store.replace(name, new.as_bytes(), durable).expect("replaced");
                assert_eq!(content(store, name).as_deref(), Some(new));
                assert_eq!(store.stored_bytes(name).expect("readable"), Some(new.len() as u64));
            }
        }
        assert_eq!(list(store), ["a", "sub/deep/a"]);
        store.remove("a").expect("removed");
        store.remove("sub/deep/a").expect("removed");
        assert!(list(store).is_empty());
    }
}

fn a_provisional_name_can_be_replaced(store: &dyn Store) {
    let checkpoint = "_fhirline.partial";
    drop(create(store, "Patient.ndjson", "{}"));
    for new in ["1", "2"] {
        store.replace(checkpoint, new.as_bytes(), true).expect("replaced");
        assert_eq!(content(store, checkpoint).as_deref(), Some(new));
        assert_eq!(list(store), ["Patient.ndjson.partial", checkpoint]);
    }
    assert!(resume(store, "Patient.ndjson", 2).is_some(), "its neighbours are left alone");
    store.replace("Patient.ndjson.partial", b"123", false).expect("replaced");
    assert_eq!(resume(store, "Patient.ndjson", 1).expect("there").stored_bytes(), 1);
    store.remove(checkpoint).expect("removed");
    assert_eq!(list(store), ["Patient.ndjson.partial"]);
}

fn whoever_looks_finds_one_of_the_replaced_whole(store: &dyn Store) {
    let whole = |i: usize| vec![b'a' + (i % 26) as u8; 1 + (i * 7919) % 50_000];
    store.replace("a", &whole(0), false).expect("replaced");
    thread::scope(|scope| {
        let writer =
            scope.spawn(|| (1..100).for_each(|i| store.replace("a", &whole(i), false).expect("replaced")));
        while !writer.is_finished() {
            let found = store.get("a", 1 << 20).expect("readable").expect("always there");
            assert!((0..100).any(|i| whole(i) == found), "{} bytes", found.len());
        }
    });
    assert_eq!(list(store), ["a"]);
}

fn a_replaced_name_stands_in_the_way_like_any_other(store: &dyn Store) {
    store.replace("a", b"replaced", false).expect("replaced");
    assert_eq!(kind(store.put_if_absent("a", b"put")), Some(ErrorKind::AlreadyExists));
    assert_eq!(kind(create(store, "a", "sealed").seal()), Some(ErrorKind::AlreadyExists));
    assert_eq!(content(store, "a").as_deref(), Some("replaced"));
    create(store, "b", "sealed").seal().expect("sealed");
    store.replace("b", b"replaced", false).expect("replaced");
    assert_eq!(content(store, "b").as_deref(), Some("replaced"));
}

fn a_small_object_can_be_replaced_by_nothing(store: &dyn Store) {
    store.replace("a", b"123", false).expect("replaced");
    store.replace("a", b"", true).expect("replaced");
    assert_eq!(content(store, "a").as_deref(), Some(""));
}

fn sealing_never_replaces(store: &dyn Store) {
    create(store, "a", "first").seal().expect("sealed");
    assert_eq!(kind(create(store, "a", "second").seal()), Some(ErrorKind::AlreadyExists));
    assert_eq!(list(store), ["a", "a.partial"]);
    assert_eq!(content(store, "a").as_deref(), Some("first"));
    assert_eq!(content(store, "a.partial").as_deref(), Some("second"));
}

fn a_discarded_output_is_gone(store: &dyn Store) {
    create(store, "kept", "1").seal().expect("sealed");
    create(store, "kept", "2").discard().expect("discarded");
    create(store, "sub/a", "1").discard().expect("discarded");
    assert_eq!(list(store), ["kept"]);
    assert_eq!(content(store, "kept").as_deref(), Some("1"));
}

fn an_output_removed_under_its_writer_is_not_presented(store: &dyn Store) {
    let partial = create(store, "a", "1");
    store.remove("a.partial").expect("removed");
    assert_eq!(kind(partial.seal()), Some(ErrorKind::NotFound));
    assert!(list(store).is_empty());
}

fn put_never_replaces(store: &dyn Store) {
    store.put_if_absent("sub/a", b"first").expect("put");
    assert_eq!(kind(store.put_if_absent("sub/a", b"second")), Some(ErrorKind::AlreadyExists));
    assert_eq!(kind(create(store, "sub/a", "third").seal()), Some(ErrorKind::AlreadyExists));
    assert_eq!(content(store, "sub/a").as_deref(), Some("first"));
    create(store, "b", "sealed").seal().expect("sealed");
    assert_eq!(kind(store.put_if_absent("b", b"put")), Some(ErrorKind::AlreadyExists));
    assert_eq!(list(store), ["b", "sub/a", "sub/a.partial"], "a put leaves nothing else behind");
}

fn one_of_many_puts_wins(store: &dyn Store) {
    let winners: Vec<usize> = thread::scope(|scope| {
        let puts: Vec<_> =
            (0..8).map(|i| scope.spawn(move || store.put_if_absent("a", &[b'0' + i as u8]))).collect();
        let results: Vec<_> = puts.into_iter().map(|put| put.join().expect("no panic")).collect();
        results.iter().enumerate().filter(|(_, result)| result.is_ok()).map(|(i, _)| i).collect()
    });
    assert_eq!(winners.len(), 1);
    assert_eq!(content(store, "a"), Some(winners[0].to_string()));
    assert_eq!(list(store), ["a"]);
}

fn get_keeps_to_its_bound(store: &dyn Store) {
    store.put_if_absent("a", b"12345").expect("put");
    assert_eq!(store.get("a", 5).expect("readable").as_deref(), Some(&b"12345"[..]));
    assert_eq!(kind(store.get("a", 4)), Some(ErrorKind::FileTooLarge));
    assert!(store.get("a", u64::MAX).expect("readable").is_some());
    assert_eq!(store.stored_bytes("a").expect("readable"), Some(5));
    assert_eq!(store.stored_bytes("b").expect("no error"), None);
    for absent in ["b", "a/b", "sub/b"] {
        assert_eq!(store.get(absent, 5).expect("no error"), None, "{absent}");
    }
}

fn names_are_listed_in_order_of_their_bytes(store: &dyn Store) {
    let names = ["B", "a", "a-b", "a.b", "a0", "c/a", "c/a.partial", "c0", "d.partial", "~"];
    for name in names.iter().rev() {
        match name.strip_suffix(".partial") {
            Some(name) => drop(create(store, name, "")),
            None => store.put_if_absent(name, b"").expect("put"),
        }
    }
    assert_eq!(list(store), names);
}

fn removing_is_no_error_twice(store: &dyn Store) {
    store.put_if_absent("sub/a", b"1").expect("put");
    drop(create(store, "sub/b", "1"));
    for name in ["sub/a", "sub/b.partial", "sub/a", "nowhere/a"] {
        store.remove(name).expect("removed");
        assert_eq!(content(store, name), None);
    }
    assert!(list(store).is_empty());
    store.put_if_absent("sub/a", b"2").expect("the name is free again");
    store.sync().expect("synced");
}

fn names_that_lead_out_are_refused(store: &dyn Store) {
    for name in ["", ".", "..", "/a", "../a", "a/", "a//b", "a/../../b", "a/./b", "a\\b", "a\0b"] {
        let refused = Some(ErrorKind::InvalidInput);
        assert_eq!(kind(store.create(name)), refused, "create {name:?}");
        assert_eq!(kind(store.resume(name, 0)), refused, "resume {name:?}");
        assert_eq!(kind(store.replace(name, b"", false)), refused, "replace {name:?}");
        assert_eq!(kind(store.put_if_absent(name, b"")), refused, "put {name:?}");
        assert_eq!(kind(store.get(name, 1)), refused, "get {name:?}");
        assert_eq!(kind(store.remove(name)), refused, "remove {name:?}");
    }
    assert_eq!(kind(store.create("a.partial")), Some(ErrorKind::InvalidInput));
    assert_eq!(kind(store.resume("a.partial", 0)), Some(ErrorKind::InvalidInput));
    assert_eq!(kind(store.put_if_absent("a.partial", b"")), Some(ErrorKind::InvalidInput));
    assert!(list(store).is_empty());
}

fn many_outputs_grow_together(store: &dyn Store) {
    let name = |i: usize| format!("Type{i:03}");
    let mut partials: Vec<_> = (0..300).map(|i| store.create(&name(i)).expect("created")).collect();
    for round in 0..3 {
        for (i, partial) in partials.iter_mut().enumerate() {
            partial.append(format!("{i}:{round} ").as_bytes()).expect("appended");
        }
    }
    for (i, mut partial) in partials.into_iter().enumerate() {
        let whole = format!("{i}:0 {i}:1 {i}:2 ");
        assert_eq!(partial.stored_bytes(), whole.len() as u64);
        let mut read = vec![0; whole.len()];
        assert_eq!(partial.read_at(0, &mut read).expect("read"), whole.len());
        assert_eq!(read, whole.as_bytes());
        partial.truncate(whole.len() as u64 - 1).expect("truncated");
        // A few suffice: this waits for the disk.
        if i % 50 == 0 {
            partial.sync().expect("synced");
        }
        partial.seal().expect("sealed");
    }
    assert_eq!(list(store), (0..300).map(name).collect::<Vec<_>>());
    assert_eq!(content(store, "Type299").as_deref(), Some("299:0 299:1 299:2"));
}
