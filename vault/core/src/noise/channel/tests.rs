use super::*;
use crate::noise::tests::{Seeded, session_key};

/// A raw transport of the client, and the member's channel.
fn raw_and_channel() -> (Transport, Channel) {
    let mut client = Handshake::client(b"prologue", &session_key(1).public_key(), &mut Seeded(1)).unwrap();
    let mut member = Handshake::server(b"prologue", session_key(1), &mut Seeded(2)).unwrap();
    member.read(&client.write().unwrap()).unwrap();
    client.read(&member.write().unwrap()).unwrap();
    (Transport::after(client).unwrap(), Channel::after(member).unwrap())
}

#[test]
fn padding_is_zero_and_the_length_is_inside_the_frame() {
    let good = pad(b"message").unwrap();
    assert_eq!(*unpad(&good).unwrap(), b"message");
    for index in 2 + 7..PLAINTEXT_BYTES {
        let mut bad = good.to_vec();
        bad[index] = 1;
        assert_eq!(unpad(&bad).unwrap_err(), NoiseError::Padding, "byte {index}");
    }
    let full = pad(&[1; MESSAGE_BYTES_MAX]).unwrap();
    assert_eq!(unpad(&full).unwrap().len(), MESSAGE_BYTES_MAX);
    let length = u16::try_from(MESSAGE_BYTES_MAX).unwrap();
    for bad in [length + 1, 0x7fff, u16::MAX] {
        let mut frame = full.to_vec();
        frame[..2].copy_from_slice(&bad.to_be_bytes());
        assert_eq!(unpad(&frame).unwrap_err(), NoiseError::Padding, "length {bad}");
    }
    for bad in [&[][..], &[0]] {
        assert_eq!(unpad(bad).unwrap_err(), NoiseError::Padding);
    }
}

#[test]
fn an_authentic_frame_with_bad_padding_closes_the_channel() {
    let (mut raw, mut channel) = raw_and_channel();
    let mut plaintext = pad(b"message").unwrap();
    plaintext[PLAINTEXT_BYTES - 1] = 1;
    let frame = raw.seal(&plaintext).unwrap();
    assert_eq!(channel.open(&frame).unwrap_err(), NoiseError::Padding);
    let next = raw.seal(&pad(b"message").unwrap()).unwrap();
    assert_eq!(channel.open(&next).unwrap_err(), NoiseError::Closed);
}

#[test]
fn an_authentic_message_of_another_length_is_no_frame() {
    for length in [0, 2, PLAINTEXT_BYTES - 1, PLAINTEXT_BYTES + 1] {
        let (mut raw, mut channel) = raw_and_channel();
        let sealed = raw.seal(&vec![0; length]).unwrap();
        let refused = channel.open(&sealed).unwrap_err();
        assert_eq!(refused, NoiseError::Length { expected: FRAME_BYTES, found: length + TAG_BYTES });
        assert_eq!(channel.seal(b"").unwrap_err(), NoiseError::Closed);
    }
}

#[test]
fn more_than_a_noise_message_is_a_fault_that_closes_the_transport() {
    let (mut raw, _channel) = raw_and_channel();
    raw.seal(&vec![0; 65_519]).unwrap();
    assert_eq!(raw.seal(&vec![0; 65_520]).unwrap_err(), NoiseError::State);
    assert_eq!(raw.seal(&[]).unwrap_err(), NoiseError::Closed);
}
