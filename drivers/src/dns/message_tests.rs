use super::*;
use proptest::prelude::*;

fn question(name: &str, kind: Kind) -> Question {
    Question { name: name.to_owned(), kind }
}

/// An answer with these records: owner, type, data.
fn answer_to(id: u16, flags: u16, asked: &Question, records: &[(&str, u16, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = query(id, asked);
    bytes[2..4].copy_from_slice(&(0x8180 | flags).to_be_bytes());
    bytes[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
    for (owner, kind, data) in records {
        bytes.extend(labels(owner));
        bytes.extend([*kind, CLASS_IN, 0, 60, data.len() as u16].iter().flat_map(|word| word.to_be_bytes()));
        bytes.extend(data);
    }
    bytes
}

#[test]
fn a_question_as_it_goes_out() {
    let bytes = query(0x1234, &question("api.x", Kind::Aaaa));
    assert_eq!(bytes, b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03api\x01x\0\0\x1c\0\x01");
    assert_eq!(reverse_name([192, 168, 1, 5].into()), "5.1.168.192.in-addr.arpa");
    let v6: IpAddr = "fd00::5".parse().expect("valid");
    assert!(reverse_name(v6).starts_with("5.0.0.0.") && reverse_name(v6).ends_with(".0.d.f.ip6.arpa"));
}

/// As dnsmasq 2.90 answers: names are compressed.
#[test]
fn an_answer_as_recorded() {
    let ptr = question("5.1.168.192.in-addr.arpa", Kind::Ptr);
    let mut bytes = answer_to(7, 0, &ptr, &[]);
    bytes[7] = 2;
    bytes.extend(b"\xc0\x0c\0\x0c\0\x01\0\0\0\0\0\x0f\x07api-int\x01x\x03lab\0");
    bytes.extend(b"\xc0\x0c\0\x0c\0\x01\0\0\0\0\0\x06\x03api\xc0\x3e");
    let at = bytes.windows(6).position(|window| window == b"\x01x\x03lab").expect("there");
    let length = bytes.len();
    bytes[length - 1] = at as u8;
    let names = ["api-int.x.lab", "api.x.lab"].map(|name| Found::Name(name.to_owned()));
    assert_eq!(answer(7, &ptr, &bytes), Ok(names.to_vec()));
}

#[test]
fn only_what_the_question_leads_to_counts() {
    let asked = question("api.x", Kind::A);
    let address = |last| Found::Address([10, 0, 0, last].into());
    let records = [
        ("evil.x", 1, vec![10, 0, 0, 66]),
        ("API.x", TYPE_CNAME, labels("lb.x")),
        ("lb.x", TYPE_CNAME, labels("lb.y")),
        ("lb.y", 1, vec![10, 0, 0, 1]),
        ("lb.y", 28, vec![0; 16]),
        ("lb.y", 1, vec![10, 0, 0, 2]),
    ];
    assert_eq!(answer(7, &asked, &answer_to(7, 0, &asked, &records)), Ok(vec![address(1), address(2)]));
    assert_eq!(answer(7, &asked, &answer_to(7, 3, &asked, &[])), Ok(vec![]), "no such name");
    assert_eq!(answer(7, &asked, &answer_to(7, 0, &asked, &[])), Ok(vec![]), "no such record");
}

#[test]
fn what_is_no_answer_to_it_is_refused() {
    let asked = question("api.x", Kind::A);
    let good = answer_to(7, 0, &asked, &[("api.x", 1, vec![10, 0, 0, 1])]);
    assert!(answer(7, &asked, &good).is_ok());
    let other = |name: &str, kind| answer_to(7, 0, &question(name, kind), &[]);
    let mut is_query = good.clone();
    is_query[2] &= 0x7f;
    for bytes in [answer_to(8, 0, &asked, &[]), other("api.y", Kind::A), other("api.x", Kind::Aaaa), is_query] {
        assert_eq!(answer(7, &asked, &bytes), Err(MessageError::Foreign));
    }
    for code in [1, 2, 4, 5, 9] {
        let error = answer(7, &asked, &answer_to(7, code, &asked, &[])).expect_err("failed");
        assert_eq!(error, MessageError::Failed(code as u8));
    }
    let turn = answer_to(7, 0, &asked, &[("api.x", TYPE_CNAME, labels("a.x")), ("a.x", TYPE_CNAME, labels("api.x"))]);
    let mut endless = good.clone();
    let owner = query(7, &asked).len();
    endless.splice(owner..owner + 7, [0xc0, owner as u8]);
    for (bytes, why) in [
        (answer_to(7, 0x0200, &asked, &[]), "it is longer than a datagram"),
        (answer_to(7, 0, &asked, &[("api.x", 1, vec![1, 2, 3])]), "an address in it is none"),
        (
            answer_to(7, 0, &asked, &[("api.x", TYPE_CNAME, [labels("a"), vec![0]].concat())]),
            "a record in it has another length than it says",
        ),
        (turn, "its aliases lead nowhere"),
        (endless, "a name in it has no end"),
        (good[..good.len() - 1].to_vec(), "it is cut off"),
        (answer_to(7, 0, &asked, &[("a b", 1, vec![0; 4])]), "a name in it is none"),
        (answer_to(7, 0, &asked, &vec![("a", 1, vec![0; 4]); 101]), "it has more than 100 records"),
    ] {
        assert_eq!(answer(7, &asked, &bytes), Err(MessageError::Garbled(why)));
    }
}

proptest! {
    #[test]
    fn addresses_come_back(octets in prop::collection::vec(any::<[u8; 4]>(), 0..20), id: u16) {
        let asked = question("api.ocp4.example.com", Kind::A);
        let records: Vec<_> = octets.iter().map(|octets| (asked.name.as_str(), 1, octets.to_vec())).collect();
        let expected = octets.iter().map(|octets| Found::Address((*octets).into())).collect();
        prop_assert_eq!(answer(id, &asked, &answer_to(id, 0, &asked, &records)), Ok(expected));
    }

    #[test]
    fn never_panics(rest in prop::collection::vec(any::<u8>(), 0..200), kind in 0..3, count: u16) {
        let kind = [Kind::A, Kind::Aaaa, Kind::Ptr][kind as usize];
        let asked = question("api.x", kind);
        let _ = answer(7, &asked, &rest);
        let mut bytes = answer_to(7, 0, &asked, &[]);
        bytes[6..8].copy_from_slice(&count.to_be_bytes());
        bytes.extend(rest);
        let _ = answer(7, &asked, &bytes);
    }
}
