using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

namespace Ka.Broadcast;

/// <summary>The 256-bit secret of one broadcast. It never crosses the wire between peers, and it does not print.</summary>
public sealed class BroadcastKey
{
    public const int Bytes = 32;
    public const int IdBytes = 16;
    public const int MacBytes = 32;

    readonly byte[] _secret;
    readonly byte[] _id;

    BroadcastKey(byte[] secret)
    {
        _secret = secret;
        _id = HMACSHA256.HashData(secret, "ka-broadcast-id"u8)[..IdBytes];
    }

    /// <summary>Names the broadcast without telling its key.</summary>
    public ReadOnlySpan<byte> Id => _id;

    internal string Name => Convert.ToHexStringLower(_id);

    /// <summary>A fresh key as 64 hex digits.</summary>
    public static string Create() => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(Bytes));

    public static bool TryParse(string hex, [NotNullWhen(true)] out BroadcastKey? key)
    {
        key = hex.Length == Bytes * 2 && hex.All(char.IsAsciiHexDigit) ? new BroadcastKey(Convert.FromHexString(hex)) : null;
        return key is not null;
    }

    /// <summary>The key of one stripe of the image: a broadcast of its own.</summary>
    public BroadcastKey Stripe(int index) => new(Sign([.. "ka-broadcast-stripe"u8, (byte)index]));

    internal byte[] Sign(ReadOnlySpan<byte> message) => HMACSHA256.HashData(_secret, message);

    internal bool Verifies(ReadOnlySpan<byte> message, ReadOnlySpan<byte> mac) =>
        CryptographicOperations.FixedTimeEquals(HMACSHA256.HashData(_secret, message), mac);

    public override string ToString() => $"broadcast {Name}";
}
