using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

namespace Ka.Broadcast;

/// <summary>The 256-bit secret of one broadcast. It never crosses the wire between peers, and it does not print. It also says whether the peers encrypt what they send.</summary>
public sealed class BroadcastKey
{
    public const int Bytes = 32;
    public const int IdBytes = 16;
    public const int MacBytes = 32;

    /// <summary>Before the digits of a key whose broadcast is encrypted.</summary>
    const string EncryptedPrefix = "tls-";

    readonly byte[] _secret;
    readonly byte[] _id;

    BroadcastKey(byte[] secret, bool isEncrypted)
    {
        (_secret, IsEncrypted) = (secret, isEncrypted);
        // Under another id nobody can be brought to send in the clear what is to be encrypted.
        _id = HMACSHA256.HashData(secret, isEncrypted ? "ka-broadcast-id-tls"u8 : "ka-broadcast-id"u8)[..IdBytes];
    }

    /// <summary>Whether peers speak TLS with each other.</summary>
    public bool IsEncrypted { get; }

    /// <summary>Names the broadcast without telling its key.</summary>
    public ReadOnlySpan<byte> Id => _id;

    internal string Name => Convert.ToHexStringLower(_id);

    /// <summary>A fresh key as 64 hex digits.</summary>
    public static string Create() => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(Bytes));

    /// <summary>The same key for a broadcast that is encrypted.</summary>
    public static string Encrypted(string key) => EncryptedPrefix + key;

    /// <summary>Reads 64 hex digits, after <c>tls-</c> for a broadcast that is encrypted.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out BroadcastKey? key)
    {
        var isEncrypted = text.StartsWith(EncryptedPrefix, StringComparison.Ordinal);
        var hex = isEncrypted ? text[EncryptedPrefix.Length..] : text;
        key = hex.Length == Bytes * 2 && hex.All(char.IsAsciiHexDigit) ? new BroadcastKey(Convert.FromHexString(hex), isEncrypted) : null;
        return key is not null;
    }

    /// <summary>The key of one stripe of the image: a broadcast of its own.</summary>
    public BroadcastKey Stripe(int index) => new(Sign([.. "ka-broadcast-stripe"u8, (byte)index]), IsEncrypted);

    /// <summary>The key of one piece of a live stream: a broadcast of its own.</summary>
    internal BroadcastKey Piece(int index) => new(Sign([.. "ka-broadcast-piece"u8, .. BitConverter.GetBytes(index)]), IsEncrypted);

    internal byte[] Sign(ReadOnlySpan<byte> message) => HMACSHA256.HashData(_secret, message);

    internal bool Verifies(ReadOnlySpan<byte> message, ReadOnlySpan<byte> mac) =>
        CryptographicOperations.FixedTimeEquals(HMACSHA256.HashData(_secret, message), mac);

    public override string ToString() => $"broadcast {Name}";
}
