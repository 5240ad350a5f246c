using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace Ka.Broadcast.Torrent;

/// <summary>A value of BitTorrent's encoding (BEP 3). Only the writing side: Ka reads nothing that a peer has encoded.</summary>
abstract record Bencoded
{
    public static implicit operator Bencoded(long number) => new Number(number);

    public static implicit operator Bencoded(string text) => new Text(Encoding.UTF8.GetBytes(text));

    public static implicit operator Bencoded(byte[] bytes) => new Text(bytes);

    /// <summary>A dictionary; its keys are written in the order of their bytes, whatever their order here.</summary>
    public static Bencoded Of(params ReadOnlySpan<(string Key, Bencoded Value)> entries) => new Table([.. entries]);

    public byte[] ToBytes()
    {
        using var into = new MemoryStream();
        Write(into);
        return into.ToArray();
    }

    protected abstract void Write(MemoryStream into);

    static void Ascii(MemoryStream into, string text) => into.Write(Encoding.ASCII.GetBytes(text));

    sealed record Number(long Value) : Bencoded
    {
        protected override void Write(MemoryStream into) => Ascii(into, string.Create(CultureInfo.InvariantCulture, $"i{Value}e"));
    }

    sealed record Text(byte[] Value) : Bencoded
    {
        protected override void Write(MemoryStream into)
        {
            Ascii(into, string.Create(CultureInfo.InvariantCulture, $"{Value.Length}:"));
            into.Write(Value);
        }
    }

    sealed record Table(ImmutableArray<(string Key, Bencoded Value)> Entries) : Bencoded
    {
        protected override void Write(MemoryStream into)
        {
            into.WriteByte((byte)'d');
            foreach (var (key, value) in Entries.OrderBy(e => e.Key, StringComparer.Ordinal))
            {
                ((Bencoded)key).Write(into);
                value.Write(into);
            }
            into.WriteByte((byte)'e');
        }
    }
}
