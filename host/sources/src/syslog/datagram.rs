//! UDP and unix datagram sockets, drained by a thread of their own.
//!
//! The kernel tells with each UDP datagram how many it dropped before
//! (`SO_RXQ_OVFL`, socket(7)). A unix socket drops nothing itself: the sender
//! is refused, and nginx writes that to its error log.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBufForce, RxqOvfl};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::Messages;
use crate::SourceError;
use crate::counters::add;
use crate::listen::{SocketFile, bind_error, bind_unix};
use crate::shutdown::{LastReads, Shutdown};

/// How often a quiet socket looks for shutdown.
const LOOK: Duration = Duration::from_millis(100);

/// Most datagrams taken before the pipeline is woken.
const BURST: usize = 64;

/// Below this a unix socket refuses short bursts (`net.unix.max_dgram_qlen`).
const QUEUE_LENGTH_WANTED: u32 = 512;
const QUEUE_LENGTH_PATH: &str = "/proc/sys/net/unix/max_dgram_qlen";

/// A bound datagram socket.
pub(super) struct Datagrams {
    socket: OwnedFd,
    address: String,
    _file: Option<SocketFile>,
}

impl Datagrams {
    pub(super) fn udp(address: SocketAddr, buffer: usize) -> Result<Self, SourceError> {
        let open = || {
            let domain = Domain::for_address(address);
            let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
            socket.bind(&address.into())?;
            let socket = UdpSocket::from(socket);
            let name = socket.local_addr()?.to_string();
            prepare(&socket, buffer)?;
            // Without it drops go uncounted, which is no reason not to start.
            if let Err(error) = setsockopt(&socket, RxqOvfl, &1) {
                tracing::warn!(%error, "kernel drops of this socket cannot be counted");
            }
            Ok(Self {
                socket: socket.into(),
                address: name,
                _file: None,
            })
        };
        open().map_err(|error| bind_error(address, error))
    }

    pub(super) fn unix(path: &Path, mode: u32, buffer: usize) -> Result<Self, SourceError> {
        let in_use = || UnixDatagram::unbound().is_ok_and(|probe| probe.connect(path).is_ok());
        let (socket, file) = bind_unix(path, mode, in_use, |name| {
            let socket = UnixDatagram::bind(name)?;
            prepare(&socket, buffer)?;
            Ok(socket)
        })?;
        warn_of_short_queue();
        Ok(Self {
            socket: socket.into(),
            address: path.display().to_string(),
            _file: Some(file),
        })
    }

    pub(super) fn address(&self) -> String {
        self.address.clone()
    }

    /// Reads datagrams until shutdown, and then those the kernel holds already;
    /// never waits for the pipeline.
    pub(super) fn drain(
        self,
        messages: &Messages,
        limit: usize,
        shutdown: &Shutdown,
    ) -> Result<(), SourceError> {
        let intake = &messages.records.intake;
        let mut buffer = vec![0; limit];
        let mut control = nix::cmsg_space!(u32);
        let mut dropped_before = 0_u32;
        let mut number = 0;
        let mut last_reads = LastReads::new(shutdown.clone());
        loop {
            let mut flags = MsgFlags::empty();
            if last_reads.have_begun() {
                flags = MsgFlags::MSG_DONTWAIT;
            }
            let mut more = true;
            for _ in 0..BURST {
                let received = self.receive(&mut buffer, &mut control, flags);
                let Some(datagram) = received.map_err(SourceError::Runtime)? else {
                    more = false;
                    break;
                };
                number += 1;
                if let Some(dropped) = datagram.dropped {
                    let more = dropped.wrapping_sub(dropped_before);
                    dropped_before = dropped;
                    add(&intake.counters().kernel_dropped, u64::from(more));
                }
                let bytes = buffer.get(..datagram.length).unwrap_or_default();
                if let Some(event) = messages.decode(bytes, number, datagram.truncated) {
                    // A refusal has been counted as shed.
                    drop(intake.offer_quietly(event));
                }
                flags = MsgFlags::MSG_DONTWAIT;
            }
            intake.wake();
            if last_reads.have_begun() && (!more || last_reads.are_over()) {
                if more {
                    tracing::warn!(
                        socket = self.address,
                        "datagrams were still arriving at shutdown; the rest is lost"
                    );
                }
                return Ok(());
            }
        }
    }

    /// One datagram; none when there is none for now.
    fn receive(
        &self,
        buffer: &mut [u8],
        control: &mut [u8],
        flags: MsgFlags,
    ) -> io::Result<Option<Datagram>> {
        let mut slices = [IoSliceMut::new(buffer)];
        let received = recvmsg::<()>(self.socket.as_raw_fd(), &mut slices, Some(control), flags);
        let message = match received {
            Ok(message) => message,
            // A refused reply of an earlier packet is no fault of this socket.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let dropped = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::RxqOvfl(count) => Some(count),
            _ => None,
        });
        let truncated = message.flags.contains(MsgFlags::MSG_TRUNC);
        Ok(Some(Datagram {
            length: message.bytes,
            truncated,
            dropped,
        }))
    }
}

struct Datagram {
    length: usize,
    truncated: bool,
    /// Datagrams dropped since the socket was opened, when the kernel says.
    dropped: Option<u32>,
}

/// Asks for a large buffer, beyond the system's limit where we may.
fn prepare(socket: &impl AsFd, buffer: usize) -> io::Result<()> {
    let plain = SockRef::from(socket);
    plain.set_read_timeout(Some(LOOK))?;
    if setsockopt(socket, RcvBufForce, &buffer).is_err() {
        plain.set_recv_buffer_size(buffer)?;
    }
    let got = plain.recv_buffer_size()?;
    if got < buffer {
        tracing::warn!(
            wanted = buffer,
            got,
            "socket buffer is smaller than asked for; raise net.core.rmem_max or grant CAP_NET_ADMIN"
        );
    }
    Ok(())
}

fn warn_of_short_queue() {
    let length = std::fs::read_to_string(QUEUE_LENGTH_PATH)
        .ok()
        .and_then(|text| text.trim().parse::<u32>().ok());
    if let Some(length) = length.filter(|length| *length < QUEUE_LENGTH_WANTED) {
        tracing::warn!(
            length,
            wanted = QUEUE_LENGTH_WANTED,
            "unix datagram queue is short and bursts will be refused; \
             set net.unix.max_dgram_qlen with sysctl before the start"
        );
    }
}
