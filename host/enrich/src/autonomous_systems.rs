//! What kind of network a well-known autonomous system is.
//!
//! A short list, because a wrong entry hides an attack or raises a false
//! alarm: carriers whose addresses surface far from their users (mobile,
//! satellite), and operators whose addresses say nothing about where a person
//! is (hosting, VPN, relay, Tor). Systems with mixed use are left out. An
//! operator's own table always comes first.

use sidewatch_event::NetworkKind;

use NetworkKind::{Hosting, Mobile, Relay, Satellite, Tor, Vpn};

/// Well-known numbers, ascending, with the name their operator goes by.
const BY_NUMBER: &[(u32, NetworkKind, &str)] = &[
    (800, Satellite, "OneWeb"),
    (1358, Satellite, "Hughes Network Systems"),
    (6167, Mobile, "Verizon Wireless"),
    (6621, Satellite, "Hughes Network Systems"),
    (7155, Satellite, "Viasat"),
    (8075, Hosting, "Microsoft"),
    (8560, Hosting, "IONOS"),
    (9009, Hosting, "M247, home of many VPN services"),
    (9605, Mobile, "NTT Docomo"),
    (9808, Mobile, "China Mobile"),
    (12576, Mobile, "EE"),
    (12638, Mobile, "E-Plus"),
    (12684, Satellite, "SES Astra"),
    (12876, Hosting, "Scaleway"),
    (13036, Mobile, "T-Mobile Czech Republic"),
    (
        13335,
        Relay,
        "Cloudflare, egress of WARP and iCloud Private Relay",
    ),
    (14061, Hosting, "DigitalOcean"),
    (14593, Satellite, "Starlink"),
    (14618, Hosting, "Amazon Web Services"),
    (15169, Hosting, "Google"),
    (16232, Mobile, "TIM mobile"),
    (16276, Hosting, "OVH"),
    (16509, Hosting, "Amazon Web Services"),
    (20057, Mobile, "AT&T Mobility"),
    (20473, Hosting, "Vultr"),
    (21928, Mobile, "T-Mobile US"),
    (22351, Satellite, "Intelsat"),
    (22394, Mobile, "Verizon Wireless"),
    (22616, Vpn, "Zscaler gateways"),
    (23693, Mobile, "Telkomsel"),
    (24940, Hosting, "Hetzner"),
    (25135, Mobile, "Vodafone UK"),
    (26599, Mobile, "Vivo"),
    (28753, Hosting, "Leaseweb"),
    (29180, Mobile, "O2 UK"),
    (29286, Satellite, "Skylogic, Eutelsat"),
    (31515, Satellite, "Inmarsat"),
    (31898, Hosting, "Oracle Cloud"),
    (36183, Relay, "Akamai, egress of iCloud Private Relay"),
    (36351, Hosting, "IBM Cloud"),
    (39351, Vpn, "31173 Services, Mullvad"),
    (45102, Hosting, "Alibaba Cloud"),
    (45143, Mobile, "Singtel Mobile"),
    (51167, Hosting, "Contabo"),
    (51207, Mobile, "Free Mobile"),
    (53813, Vpn, "Zscaler gateways"),
    (54113, Relay, "Fastly, egress of iCloud Private Relay"),
    (55836, Mobile, "Reliance Jio"),
    (60068, Hosting, "Datacamp, home of many VPN services"),
    (60725, Satellite, "O3b Networks"),
    (60729, Tor, "Stiftung Erneuerbare Freiheit"),
    (60781, Hosting, "Leaseweb"),
    (62044, Vpn, "Zscaler gateways"),
    (62744, Tor, "Quintex Alliance"),
    (63949, Hosting, "Linode"),
    (64294, Satellite, "Panasonic Avionics, in flight"),
    (132203, Hosting, "Tencent Cloud"),
    (136787, Vpn, "Tefincom, NordVPN"),
    (141039, Vpn, "PacketHub, NordVPN"),
    (197540, Hosting, "netcup"),
    (205100, Tor, "F3 Netze"),
    (206067, Mobile, "Three UK"),
    (209103, Vpn, "Proton VPN"),
    (212238, Hosting, "Datacamp, home of many VPN services"),
    (213230, Hosting, "Hetzner Cloud"),
    (396507, Tor, "Emerald Onion"),
    (396982, Hosting, "Google Cloud"),
];

/// Words that give a kind away when they occur in a system's name, in lower
/// case. Tried in this order.
const BY_NAME: &[(&str, NetworkKind)] = &[
    ("starlink", Satellite),
    ("space exploration tech", Satellite),
    ("intelsat", Satellite),
    ("inmarsat", Satellite),
    ("viasat", Satellite),
    ("hughes network", Satellite),
    ("eutelsat", Satellite),
    ("oneweb", Satellite),
    ("o3b", Satellite),
    ("iridium", Satellite),
    ("marlink", Satellite),
    ("anuvu", Satellite),
    ("gogo business aviation", Satellite),
    ("gogo llc", Satellite),
    ("avionics", Satellite),
    ("satellite", Satellite),
    ("mullvad", Vpn),
    ("nordvpn", Vpn),
    ("tefincom", Vpn),
    ("packethub", Vpn),
    ("expressvpn", Vpn),
    ("zscaler", Vpn),
    ("vpn", Vpn),
    ("tor exit", Tor),
    ("torservers", Tor),
    ("emerald onion", Tor),
    ("t-mobile", Mobile),
    ("wireless", Mobile),
    ("cellular", Mobile),
    ("mobile", Mobile),
    ("web hosting", Hosting),
    ("webhosting", Hosting),
    ("hosting", Hosting),
    ("data center", Hosting),
    ("datacenter", Hosting),
    ("dedicated server", Hosting),
    ("vps", Hosting),
];

/// The kind of a well-known number, and whose it is.
pub(crate) fn by_number(number: u32) -> Option<(NetworkKind, &'static str)> {
    let at = BY_NUMBER
        .binary_search_by_key(&number, |(candidate, ..)| *candidate)
        .ok()?;
    BY_NUMBER.get(at).map(|(_, kind, owner)| (*kind, *owner))
}

/// The kind a name gives away, and the word that does. Words stand alone, so
/// that "Starlinks" or "Automobiles" prove nothing.
pub(crate) fn by_name(name: &str) -> Option<(NetworkKind, &'static str)> {
    let bytes = name.as_bytes();
    let mut before_is_edge = true;
    let mut best: Option<usize> = None;
    for at in 0..bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        if before_is_edge {
            let found = BY_NAME
                .iter()
                .position(|(word, _)| begins_with_word(rest, word.as_bytes()));
            best = [best, found].into_iter().flatten().min();
        }
        before_is_edge = rest
            .first()
            .is_some_and(|byte| !byte.is_ascii_alphanumeric());
    }
    best.and_then(|index| BY_NAME.get(index))
        .map(|(word, kind)| (*kind, *word))
}

fn begins_with_word(text: &[u8], word: &[u8]) -> bool {
    text.split_at_checked(word.len())
        .is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(word)
                && rest
                    .first()
                    .is_none_or(|next| !next.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_finds_its_entries() {
        assert!(BY_NUMBER.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(by_number(22351), Some((Satellite, "Intelsat")));
        assert_eq!(by_number(14593).map(|(kind, _)| kind), Some(Satellite));
        assert_eq!(by_number(64512), None);
    }

    #[test]
    fn names_speak_only_in_whole_words() {
        assert_eq!(
            by_name("SPACEX-STARLINK").map(|(kind, _)| kind),
            Some(Satellite)
        );
        assert_eq!(
            by_name("Example Mobile a.s.").map(|(kind, _)| kind),
            Some(Mobile)
        );
        assert_eq!(
            by_name("Example Hosting GmbH").map(|(kind, _)| kind),
            Some(Hosting)
        );
        assert_eq!(by_name("Automobiles Example"), None);
        assert_eq!(by_name("Example University"), None);
        assert_eq!(by_name(""), None);
    }
}
