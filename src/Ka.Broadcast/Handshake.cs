using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Ka.Broadcast;

/// <summary>
/// Both sides prove that they know the broadcast's key without showing it: the asker sends the broadcast's id and a nonce, the listener
/// answers with its nonce and HMAC-SHA256 over all, the asker with its HMAC over all and the offset it wants.
/// </summary>
static class Handshake
{
    const int NonceBytes = 16;
    static ReadOnlySpan<byte> Magic => "KaC1"u8;

    /// <summary>Asks for the stream from an offset on. False when the listener does not know the key or does not know the broadcast.</summary>
    public static bool Ask(ChainConnection connection, BroadcastKey key, long offset)
    {
        Span<byte> hello = stackalloc byte[Magic.Length + BroadcastKey.IdBytes + NonceBytes];
        Magic.CopyTo(hello);
        key.Id.CopyTo(hello[Magic.Length..]);
        RandomNumberGenerator.Fill(hello[(Magic.Length + BroadcastKey.IdBytes)..]);
        connection.Send(hello);

        Span<byte> answer = stackalloc byte[NonceBytes + BroadcastKey.MacBytes];
        connection.ReceiveExactly(answer);
        var nonce = answer[..NonceBytes];
        if (!key.Verifies(Transcript("listener"u8, hello, nonce, 0), answer[NonceBytes..]))
        {
            return false;
        }
        Span<byte> proof = stackalloc byte[BroadcastKey.MacBytes + sizeof(long)];
        key.Sign(Transcript("asker"u8, hello, nonce, offset)).CopyTo(proof);
        BinaryPrimitives.WriteInt64LittleEndian(proof[BroadcastKey.MacBytes..], offset);
        connection.Send(proof);
        return true;
    }

    /// <summary>The listener's side.</summary>
    /// <param name="find">Gives the key of a broadcast id (hex), waiting for a broadcast that is about to be registered; null when there is none.</param>
    /// <returns>The key and the offset asked for, or null when the asker proved nothing.</returns>
    public static (BroadcastKey Key, long Offset)? Listen(ChainConnection connection, Func<string, BroadcastKey?> find)
    {
        Span<byte> hello = stackalloc byte[Magic.Length + BroadcastKey.IdBytes + NonceBytes];
        connection.ReceiveExactly(hello);
        if (!hello[..Magic.Length].SequenceEqual(Magic))
        {
            return null;
        }
        var key = find(Convert.ToHexStringLower(hello.Slice(Magic.Length, BroadcastKey.IdBytes)));
        if (key is null)
        {
            return null;
        }
        Span<byte> answer = stackalloc byte[NonceBytes + BroadcastKey.MacBytes];
        RandomNumberGenerator.Fill(answer[..NonceBytes]);
        key.Sign(Transcript("listener"u8, hello, answer[..NonceBytes], 0)).CopyTo(answer[NonceBytes..]);
        connection.Send(answer);

        Span<byte> proof = stackalloc byte[BroadcastKey.MacBytes + sizeof(long)];
        connection.ReceiveExactly(proof);
        var offset = BinaryPrimitives.ReadInt64LittleEndian(proof[BroadcastKey.MacBytes..]);
        var transcript = Transcript("asker"u8, hello, answer[..NonceBytes], offset);
        return key.Verifies(transcript, proof[..BroadcastKey.MacBytes]) && offset >= 0 ? (key, offset) : null;
    }

    static byte[] Transcript(ReadOnlySpan<byte> role, ReadOnlySpan<byte> hello, ReadOnlySpan<byte> nonce, long offset)
    {
        var bytes = new byte[role.Length + hello.Length + nonce.Length + sizeof(long)];
        role.CopyTo(bytes);
        hello.CopyTo(bytes.AsSpan(role.Length));
        nonce.CopyTo(bytes.AsSpan(role.Length + hello.Length));
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(role.Length + hello.Length + nonce.Length), offset);
        return bytes;
    }
}
