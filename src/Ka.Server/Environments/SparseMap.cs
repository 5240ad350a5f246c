using System.Security.Cryptography;
using Ka.Core.Faults;

namespace Ka.Server.Environments;

/// <summary>Where the stored bytes of a sparse file belong; everything between is a hole.</summary>
/// <param name="Bytes">Logical size.</param>
/// <param name="MapBytes">Bytes of the entry's content that the map itself took.</param>
sealed record SparseMap(long Bytes, List<(long Offset, long Bytes)> Pieces, long MapBytes)
{
    /// <summary>Four pieces in the header, 21 in each block behind it (GNU tar manual, "Old GNU Format").</summary>
    public static (SparseMap? Map, Fault? Fault) ReadOld(TarInput input, byte[] header)
    {
        var pieces = new List<(long, long)>();
        if (!TakePieces(header.AsSpan(386, 4 * 24), pieces) || !TarFields.TryNumber(header.AsSpan(483, 12), out var bytes))
            return (null, Broken());
        var block = new byte[TarFields.Block];
        for (var more = header[482] != 0; more; more = block[504] != 0)
        {
            if (!input.Fill(block))
                return (null, input.Stopped ?? TarWalk.Truncated());
            if (!TakePieces(block.AsSpan(0, 21 * 24), pieces))
                return (null, Broken());
            if (pieces.Count > input.Limits.SparsePieces)
                return (null, TooMany(input.Limits));
        }
        return (new SparseMap(bytes, pieces, 0), null);
    }

    static bool TakePieces(ReadOnlySpan<byte> fields, List<(long, long)> pieces)
    {
        for (; !fields.IsEmpty; fields = fields[24..])
        {
            if (fields[0] == 0 && fields[12] == 0)
                continue;
            if (!TarFields.TryNumber(fields[..12], out var offset) || !TarFields.TryNumber(fields[12..24], out var bytes))
                return false;
            pieces.Add((offset, bytes));
        }
        return true;
    }

    /// <summary>Pax version 1.0: decimal lines (count, then offset and length of each) at the start of the content, filled up to a block.</summary>
    public static (SparseMap? Map, Fault? Fault) ReadFromContent(TarInput input, long bytes)
    {
        var block = new byte[TarFields.Block];
        var (at, taken) = (TarFields.Block, 0L);
        if (Number() is not { } count)
            return (null, input.Stopped ?? Broken());
        if (count > input.Limits.SparsePieces)
            return (null, TooMany(input.Limits));
        var pieces = new List<(long, long)>();
        for (var i = 0; i < count; i++)
        {
            if (Number() is not { } offset || Number() is not { } length)
                return (null, input.Stopped ?? Broken());
            pieces.Add((offset, length));
        }
        return (new SparseMap(bytes, pieces, taken), null);

        long? Number()
        {
            var number = 0L;
            for (var digits = 0; ; digits++)
            {
                if (at == TarFields.Block)
                {
                    if (!input.Fill(block))
                        return null;
                    (at, taken) = (0, taken + TarFields.Block);
                }
                var b = block[at++];
                if (b == '\n')
                    return digits > 0 ? number : null;
                if (b is < (byte)'0' or > (byte)'9' || digits > 18)
                    return null;
                number = number * 10 + (b - '0');
            }
        }
    }

    /// <summary>Null when the pieces lie in order inside the file and are as long as what is stored.</summary>
    public Fault? Check(long stored, ArchiveLimits limits, long holesBefore)
    {
        if (Bytes < 0 || Bytes > limits.SparseBytes)
            return Fault.Of(FaultCodes.ArchiveLimit, $"a sparse file says that it has {Bytes} bytes; more than {limits.SparseBytes} are not taken");
        var (end, sum) = (0L, 0L);
        foreach (var (offset, bytes) in Pieces)
        {
            if (offset < end || bytes < 0 || offset > Bytes || bytes > Bytes - offset)
                return Broken();
            end = offset + bytes;
            sum += bytes;
        }
        if (sum != stored - MapBytes)
            return Broken();
        return holesBefore + Bytes - sum > limits.HoleBytes
            ? Fault.Of(FaultCodes.ArchiveLimit, $"the holes of all sparse files have more than {limits.HoleBytes} bytes")
            : null;
    }

    /// <summary>Hashes the logical content.</summary>
    public bool Hash(TarInput input, IncrementalHash hash, CancellationToken cancel)
    {
        var at = 0L;
        foreach (var (offset, bytes) in Pieces)
        {
            TarInput.TakeZeros(offset - at, hash, cancel);
            if (!input.Take(bytes, hash))
                return false;
            at = offset + bytes;
        }
        TarInput.TakeZeros(Bytes - at, hash, cancel);
        return true;
    }

    static Fault Broken() => Fault.Of(FaultCodes.ArchiveInvalid, "the map of a sparse file is broken");

    static Fault TooMany(ArchiveLimits limits) => Fault.Of(FaultCodes.ArchiveLimit, $"a sparse file has a map of more than {limits.SparsePieces} pieces");
}
