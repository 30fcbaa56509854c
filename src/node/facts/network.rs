//! Interfaces and routes, from what the kernel prints about them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{Interface, Route};

/// The most bytes a packet can have, by far.
const MAX_MTU: u32 = 1 << 20;

/// `NAME MAC MTU STATE PHYSICAL`, with `-` for no address.
pub(super) fn interface(value: &str) -> Option<Interface> {
    let mut fields = value.split(' ');
    let mut next = || fields.next();
    let (name, mac, mtu, state, physical) = (next()?, next()?, next()?, next()?, next()?);
    Some(Interface {
        name: name.to_owned(),
        mac: if mac == "-" { String::new() } else { mac.to_ascii_lowercase() },
        mtu: mtu.parse().ok().filter(|mtu| *mtu <= MAX_MTU)?,
        state: state.to_owned(),
        physical: physical == "1",
        addresses: Vec::new(),
    })
}

/// The kernel's own table. IPv4: `DEVICE NETWORK GATEWAY MASK`, hexadecimal in the order of the host's bytes; IPv6:
/// `DEVICE NETWORK LENGTH GATEWAY`, hexadecimal.
pub(super) fn route(is_v4: bool, value: &str) -> Option<Route> {
    let mut fields = value.split(' ');
    let mut next = || fields.next();
    let (device, network, third, fourth) = (next()?, next()?, next()?, next()?);
    let (network, gateway): (IpNet, IpAddr) = if is_v4 {
        let address =
            |text| Some(Ipv4Addr::from(u32::from_str_radix(text, 16).ok()?.to_ne_bytes()));
        let mask = address(fourth)?;
        let network = IpNet::with_netmask(address(network)?.into(), mask.into()).ok()?;
        (network, address(third)?.into())
    } else {
        let address = |text| u128::from_str_radix(text, 16).ok().map(Ipv6Addr::from);
        let length = u8::from_str_radix(third, 16).ok()?;
        (IpNet::new(address(network)?.into(), length).ok()?, address(fourth)?.into())
    };
    let gateway = Some(gateway).filter(|gateway| !gateway.is_unspecified());
    Some(Route { network: network.trunc(), device: device.to_owned(), gateway })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_both_families() {
        let show = |v4, text| {
            route(v4, text).map(|r| format!("{} {} {:?}", r.network, r.device, r.gateway))
        };
        // As a little-endian machine prints them.
        if cfg!(target_endian = "little") {
            let shown = show(true, "eth0 00A8E10A 00000000 00FCFFFF").unwrap();
            assert_eq!(shown, "10.225.168.0/22 eth0 None");
            let shown = show(true, "eth0 00000000 01A8E10A 00000000").unwrap();
            assert_eq!(shown, "0.0.0.0/0 eth0 Some(10.225.168.1)");
        }
        let shown = show(
            false,
            "eth1 fd000000000000000000000000000000 08 fe800000000000000000000000000001",
        );
        assert_eq!(shown.unwrap(), "fd00::/8 eth1 Some(fe80::1)");
        for bad in ["", "eth0", "eth0 x 0 0", "eth0 0 0 00FF00FF", "eth0 0 fff 0"] {
            assert!(route(true, bad).is_none() || route(false, bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn interfaces() {
        let eth = interface("eth0 02:42:AC:11:00:02 1500 up 1").unwrap();
        assert_eq!((eth.mac.as_str(), eth.mtu, eth.physical), ("02:42:ac:11:00:02", 1500, true));
        assert_eq!(interface("tun0 - 1400 unknown 0").unwrap().mac, "");
        for bad in ["eth0 - big up 0", "eth0 - 1048577 up 0"] {
            assert!(interface(bad).is_none(), "{bad}");
        }
    }
}
