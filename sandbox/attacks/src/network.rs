//! The network: getting out, getting in, and the families of sockets with a history of errors.

use libc::{
    AF_ALG, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX, AF_UNSPEC, AF_VSOCK, IPPROTO_MPTCP,
    IPPROTO_SCTP, MSG_FASTOPEN, MSG_OOB, SCM_RIGHTS, SO_ATTACH_FILTER, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_RAW,
    SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET, SYS_bind, SYS_connect, SYS_getsockopt, SYS_listen, SYS_recvmsg,
    SYS_sendmsg, SYS_sendto, SYS_setsockopt, SYS_socket, SYS_socketpair, SYS_write,
};

use crate::Outcome::{Killed, OutOfReach, Refused, Works};
use crate::raw::{Errno, attempt, call};
use crate::{Attack, each, killed};

/// linux/in.h: shared memory communications, which turn into TCP (Linux 6.11).
const IPPROTO_SMC: i32 = 256;

#[rustfmt::skip] // A table: one attempt after the other.
pub(crate) const ATTACKS: &[Attack] = &[
    each("tcp", "a way out", [Killed, Killed, Works], |_| socket(AF_INET, SOCK_STREAM)),
    each("tcp6", "a way out", [Killed, Killed, Works], |_| socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC)),
    each("connect-elsewhere", "sending rows away", [Killed, Killed, Refused], |target| {
        let socket = call(SYS_socket, [AF_INET.into(), SOCK_STREAM.into()])?;
        connect(socket, AF_INET, target.port)
    }),
    each("connect-by-sending", "as above, past the check of connect", [Killed; 3], |target| {
        // send(2), TCP Fast Open: the first bytes go with the connection, and landlock is not asked.
        let socket = call(SYS_socket, [AF_INET.into(), SOCK_STREAM.into()])?;
        let address = loopback(AF_INET, target.port);
        let arguments = [
            socket.into(),
            b"rows".as_slice().into(),
            4.into(),
            MSG_FASTOPEN.into(),
            address.as_slice().into(),
            16.into(),
        ];
        attempt(SYS_sendto, arguments)
    }),
    killed("connect-by-sending-a-message", "as above", |target| {
        // An empty `struct msghdr`.
        let message = [0_u8; 56];
        attempt(SYS_sendmsg, [target.accepted.into(), message.as_slice().into(), MSG_FASTOPEN.into()])
    }),
    killed("connect-by-many-paths", "as above, by a protocol that landlock does not take for TCP", |target| {
        // RFC 8684; between hosts that know it, and to all others as TCP.
        let socket = call(SYS_socket, [AF_INET.into(), SOCK_STREAM.into(), IPPROTO_MPTCP.into()])?;
        connect(socket, AF_INET, target.port)
    }),
    killed("connect-by-many-paths6", "as above", |_| {
        attempt(SYS_socket, [AF_INET6.into(), SOCK_STREAM.into(), IPPROTO_MPTCP.into()])
    }),
    killed("sctp", "as above", |_| attempt(SYS_socket, [AF_INET.into(), SOCK_STREAM.into(), IPPROTO_SCTP.into()])),
    killed("smc", "as above", |_| attempt(SYS_socket, [AF_INET.into(), SOCK_STREAM.into(), IPPROTO_SMC.into()])),
    each("bend-a-connection", "a way out over a socket that was accepted", [Refused; 3], |target| {
        // connect(2): "dissolve the association by connecting to an address with sa_family AF_UNSPEC"; then elsewhere.
        connect(target.accepted.into(), AF_UNSPEC, 0)?;
        connect(target.accepted.into(), AF_INET, target.port)
    }),
    killed("udp", "DNS tunnels", |_| socket(AF_INET, SOCK_DGRAM)),
    killed("udp6", "DNS tunnels", |_| socket(AF_INET6, SOCK_DGRAM)),
    killed("raw-ip", "forged packets", |_| socket(AF_INET, SOCK_RAW)),
    killed("packets", "reading the wire", |_| socket(AF_PACKET, SOCK_RAW)),
    killed("netlink", "routes, firewall, and errors of the kernel", |_| socket(AF_NETLINK, SOCK_RAW)),
    killed("hypervisor", "a way to the host of the machine", |_| socket(AF_VSOCK, SOCK_STREAM)),
    killed("kernel-crypto", "a family with a history of errors", |_| socket(AF_ALG, SOCK_STREAM)),
    killed("bind", "a service of its own", |_| attempt(SYS_bind, [])),
    killed("listen", "a service of its own", |_| attempt(SYS_listen, [])),
    killed("attach-filter", "BPF in the kernel", |target| {
        let filter = [0_u8; 16];
        let arguments = [
            target.accepted.into(),
            SOL_SOCKET.into(),
            SO_ATTACH_FILTER.into(),
            filter.as_slice().into(),
            16.into(),
        ];
        attempt(SYS_setsockopt, arguments)
    }),
    killed("netfilter-option", "options with a history of errors", |target| {
        attempt(SYS_getsockopt, [target.accepted.into(), 0.into(), 64.into()])
    }),
    killed("urgent-byte", "errors of the kernel in Unix sockets (CVE-2025-38236)", |_| {
        let (one, _) = pair(SOCK_STREAM)?;
        attempt(SYS_sendto, [one.into(), b"!".as_slice().into(), 1.into(), MSG_OOB.into()])
    }),
    killed("packets-in-order", "a kind of Unix socket that nothing needs", |_| socket(AF_UNIX, SOCK_SEQPACKET)),
    killed("pair-of-packets", "as above", |_| pair(SOCK_SEQPACKET).map(drop)),
    killed("pass-descriptor", "what one daemon holds, for the other", |_| {
        let (one, _) = pair(SOCK_STREAM)?;
        let message = Message::new(&one.to_ne_bytes());
        attempt(SYS_sendmsg, [one.into(), message.header.as_slice().into()])
    }),
    killed("take-descriptor", "as above, on the other side", |_| {
        let (one, other) = pair(SOCK_STREAM)?;
        attempt(SYS_write, [other.into(), b"!".as_slice().into(), 1.into()])?;
        let mut message = Message::new(&[0; 4]);
        attempt(SYS_recvmsg, [one.into(), message.header.as_mut_slice().into()])
    }),
    each("abstract-socket", "services that no file permission guards", [OutOfReach, Refused, Refused], |target| {
        let socket = call(SYS_socket, [AF_UNIX.into(), SOCK_STREAM.into()])?;
        let address = abstract_address(&target.abstract_name);
        let length = i64::try_from(address.len()).unwrap_or(0);
        attempt(SYS_connect, [socket.into(), address.as_slice().into(), length.into()])
    }),
    each("abstract-datagram", "as above, without a connection", [OutOfReach, Refused, Refused], |target| {
        let socket = call(SYS_socket, [AF_UNIX.into(), SOCK_DGRAM.into()])?;
        let address = abstract_address(&format!("{}-datagram", target.abstract_name));
        let length = i64::try_from(address.len()).unwrap_or(0);
        let arguments = [
            socket.into(),
            b"x".as_slice().into(),
            1.into(),
            0.into(),
            address.as_slice().into(),
            length.into(),
        ];
        attempt(SYS_sendto, arguments)
    }),
];

/// Two Unix sockets that speak to each other.
fn pair(kind: i32) -> Result<(i32, i32), Errno> {
    let mut numbers = [0_u8; 8];
    let arguments = [
        AF_UNIX.into(),
        kind.into(),
        0.into(),
        numbers.as_mut_slice().into(),
    ];
    attempt(SYS_socketpair, arguments)?;
    let number = |bytes: Option<&[u8; 4]>| bytes.map_or(-1, |bytes| i32::from_ne_bytes(*bytes));
    Ok((number(numbers.first_chunk()), number(numbers.last_chunk())))
}

/// A `struct msghdr` with one byte and a control message of SCM_RIGHTS (unix(7)), and the memory that it points to.
struct Message {
    header: Vec<u8>,
    _pointed_to: [Vec<u8>; 3],
}

impl Message {
    fn new(rights: &[u8; 4]) -> Self {
        let word = |number: usize| number.to_ne_bytes();
        let place = |bytes: &mut Vec<u8>| word(bytes.as_mut_ptr().expose_provenance());
        let mut byte = vec![b'!'];
        let mut pieces = [place(&mut byte), word(1)].concat();
        // `struct cmsghdr`: its length without the padding, what it is, then the descriptor.
        let mut control = word(20).to_vec();
        control.extend([SOL_SOCKET, SCM_RIGHTS].map(i32::to_ne_bytes).as_flattened());
        control.extend(rights);
        control.resize(24, 0);
        let nobody = [word(0), word(0)].concat();
        let rest = [
            place(&mut pieces),
            word(1),
            place(&mut control),
            word(24),
            word(0),
        ]
        .concat();
        Self {
            header: [nobody, rest].concat(),
            _pointed_to: [byte, pieces, control],
        }
    }
}

/// unix(7): a NUL, and a name that is in no file system.
fn abstract_address(name: &str) -> Vec<u8> {
    let mut address = family(AF_UNIX);
    address.push(0);
    address.extend_from_slice(name.as_bytes());
    address
}

fn socket(family: i32, kind: i32) -> Result<(), Errno> {
    attempt(SYS_socket, [family.into(), kind.into()])
}

/// To 127.0.0.1.
fn connect(socket: i64, of: i32, port: u16) -> Result<(), Errno> {
    let address = loopback(of, port);
    attempt(SYS_connect, [socket.into(), address.as_slice().into(), 16.into()])
}

/// 127.0.0.1 and a port, as a `struct sockaddr_in`.
fn loopback(of: i32, port: u16) -> Vec<u8> {
    let mut address = family(of);
    address.extend_from_slice(&port.to_be_bytes());
    address.extend_from_slice(&[127, 0, 0, 1]);
    address.resize(16, 0);
    address
}

fn family(family: i32) -> Vec<u8> {
    u16::try_from(family).unwrap_or(0).to_ne_bytes().to_vec()
}
