using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Ka.Broadcast;

/// <summary>What a node asks a source for.</summary>
/// <param name="Offset">First byte wanted; in a swarm, the size of a chunk.</param>
/// <param name="Until">End of what is wanted, exclusive; <see cref="long.MaxValue"/> for all.</param>
/// <param name="Followed">Others depend on the asker: should it be lost, one of them will come in its place.</param>
/// <param name="IsProbe">Nothing is wanted but the proof that the source lives and knows the broadcast.</param>
/// <param name="IsSwarm">Chunks are wanted by their numbers.</param>
/// <param name="IsAmendment">The asker got these bytes from the listener, and they were wrong: what is right in their place is wanted.</param>
readonly record struct Wish(
    long Offset, long Until = long.MaxValue, bool Followed = false, bool IsProbe = false, bool IsSwarm = false, bool IsAmendment = false)
{
    public const int Bytes = (2 * sizeof(long)) + 1;

    /// <summary>A part is wanted, not the stream: of a node, only when it is proved there.</summary>
    public bool IsPart => Until != long.MaxValue;

    public void Write(Span<byte> into)
    {
        BinaryPrimitives.WriteInt64LittleEndian(into, Offset);
        BinaryPrimitives.WriteInt64LittleEndian(into[sizeof(long)..], Until);
        into[2 * sizeof(long)] = (byte)((Followed ? 1 : 0) | (IsProbe ? 2 : 0) | (IsSwarm ? 4 : 0) | (IsAmendment ? 8 : 0));
    }

    public static Wish Read(ReadOnlySpan<byte> from) => new(
        BinaryPrimitives.ReadInt64LittleEndian(from), BinaryPrimitives.ReadInt64LittleEndian(from[sizeof(long)..]),
        (from[2 * sizeof(long)] & 1) != 0, (from[2 * sizeof(long)] & 2) != 0, (from[2 * sizeof(long)] & 4) != 0, (from[2 * sizeof(long)] & 8) != 0);
}

/// <summary>
/// Both sides prove that they know the broadcast's key without showing it: the asker sends the broadcast's id and a nonce, the listener
/// answers with its nonce and HMAC-SHA256 over all, the asker with its HMAC over all and its wish. Where the broadcast is encrypted, all of it goes
/// through TLS, and both proofs cover the listener's certificate.
/// </summary>
static class Handshake
{
    const int NonceBytes = 16;

    /// <summary>Lengths of what the asker sends first, what it is answered, and what it sends then: the last of that is its wish.</summary>
    public const int HelloBytes = 4 + BroadcastKey.IdBytes + NonceBytes, AnswerBytes = NonceBytes + BroadcastKey.MacBytes, ProofBytes = BroadcastKey.MacBytes + Wish.Bytes;

    static ReadOnlySpan<byte> Magic => "KaC2"u8;

    /// <summary>Asks for the stream or a part of it. False when the listener does not know the key or does not know the broadcast.</summary>
    public static bool Ask(ChainConnection connection, BroadcastKey key, Wish wish)
    {
        if (key.IsEncrypted)
        {
            connection.Encrypt();
        }
        Span<byte> hello = stackalloc byte[HelloBytes];
        Magic.CopyTo(hello);
        key.Id.CopyTo(hello[Magic.Length..]);
        RandomNumberGenerator.Fill(hello[(Magic.Length + BroadcastKey.IdBytes)..]);
        connection.Send(hello);

        Span<byte> answer = stackalloc byte[AnswerBytes];
        connection.ReceiveExactly(answer);
        var nonce = answer[..NonceBytes];
        if (!key.Verifies(Transcript("listener"u8, connection.Binding, hello, nonce, default), answer[NonceBytes..]))
        {
            return false;
        }
        Span<byte> proof = stackalloc byte[ProofBytes];
        key.Sign(Transcript("asker"u8, connection.Binding, hello, nonce, wish)).CopyTo(proof);
        wish.Write(proof[BroadcastKey.MacBytes..]);
        connection.Send(proof);
        return true;
    }

    /// <summary>The listener's side.</summary>
    /// <param name="find">Gives the key of a broadcast id (hex), waiting for a broadcast that is about to be registered; null when there is none.</param>
    /// <returns>The key and what is asked for, or null when the asker proved nothing.</returns>
    public static (BroadcastKey Key, Wish Wish)? Listen(ChainConnection connection, Func<string, BroadcastKey?> find)
    {
        connection.AnswerEncryption();
        Span<byte> hello = stackalloc byte[HelloBytes];
        connection.ReceiveExactly(hello);
        if (!hello[..Magic.Length].SequenceEqual(Magic))
        {
            return null;
        }
        var key = find(Convert.ToHexStringLower(hello.Slice(Magic.Length, BroadcastKey.IdBytes)));
        if (key is null || key.IsEncrypted != connection.Binding.Length > 0)
        {
            return null;
        }
        Span<byte> answer = stackalloc byte[AnswerBytes];
        RandomNumberGenerator.Fill(answer[..NonceBytes]);
        key.Sign(Transcript("listener"u8, connection.Binding, hello, answer[..NonceBytes], default)).CopyTo(answer[NonceBytes..]);
        connection.Send(answer);

        Span<byte> proof = stackalloc byte[ProofBytes];
        connection.ReceiveExactly(proof);
        var wish = Wish.Read(proof[BroadcastKey.MacBytes..]);
        var transcript = Transcript("asker"u8, connection.Binding, hello, answer[..NonceBytes], wish);
        return key.Verifies(transcript, proof[..BroadcastKey.MacBytes]) && wish.Offset >= 0 && wish.Until >= wish.Offset ? (key, wish) : null;
    }

    static byte[] Transcript(ReadOnlySpan<byte> role, ReadOnlySpan<byte> binding, ReadOnlySpan<byte> hello, ReadOnlySpan<byte> nonce, Wish wish)
    {
        Span<byte> wished = stackalloc byte[Wish.Bytes];
        wish.Write(wished);
        return [.. role, .. binding, .. hello, .. nonce, .. wished];
    }
}
