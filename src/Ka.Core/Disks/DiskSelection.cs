using System.Collections.Immutable;
using Ka.Core.Faults;

namespace Ka.Core.Disks;

/// <summary>What is known of one disk when the target is chosen.</summary>
/// <param name="Name">Kernel name, <c>vda</c>.</param>
/// <param name="Path">Stable path under <c>/dev/disk/by-path</c>, or null.</param>
/// <param name="Bytes">Size in bytes.</param>
/// <param name="Links">Other device paths that lead to it (<c>/dev/disk/by-id/…</c>).</param>
public sealed record DiskFacts(
    string Name,
    string? Path,
    string Bus,
    long Bytes,
    string? Model = null,
    string? Serial = null,
    ImmutableArray<string>? Links = null)
{
    public string Device => "/dev/" + Name;

    public override string ToString() =>
        $"{Device} bus={Bus} bytes={Bytes} model={Model ?? "?"} serial={Serial ?? "?"} path={Path ?? "?"}";
}

/// <summary>Chooses the target disk of a node.</summary>
public static class DiskSelection
{
    /// <summary>Buses that hold what people plug in, and files posing as disks: taken only when the selector names path or bus.</summary>
    static readonly ImmutableArray<string> NeverByChance = ["usb", "loop", "other"];

    /// <summary>All given conditions must hold; of the matches the first in stable order is taken: by bus path, then by kernel name.</summary>
    /// <param name="fault">On failure <c>disk.not_found</c> with every disk seen and why it was passed over.</param>
    public static bool TryChoose(DiskSelector selector, IEnumerable<DiskFacts> seen, out DiskFacts disk, out Fault? fault)
    {
        var ordered = seen.OrderBy(d => d.Path is null ? 1 : 0)
            .ThenBy(d => d.Path ?? "", NaturalOrder.Comparer)
            .ThenBy(d => d.Name, NaturalOrder.Comparer)
            .ToImmutableArray();
        foreach (var candidate in ordered)
        {
            if (Against(selector, candidate) is null)
            {
                disk = candidate;
                fault = null;
                return true;
            }
        }
        disk = new DiskFacts("", null, "", 0);
        var evidence = ordered.IsEmpty ? "no disk was seen" : string.Join('\n', ordered.Select(d => $"{d}: {Against(selector, d)}"));
        fault = Fault.Of(FaultCodes.DiskNotFound, $"No disk of the node matches the selection ({Describe(selector)}).", evidence);
        return false;
    }

    /// <summary>Why a disk does not match, or null when it does.</summary>
    static string? Against(DiskSelector selector, DiskFacts disk)
    {
        if (selector.Path is { } path && path != disk.Device && path != disk.Name && path != disk.Path && disk.Links?.Contains(path) != true)
        {
            return "other path";
        }
        if (selector.Bus is { } bus && bus != disk.Bus)
        {
            return "other bus";
        }
        if (selector.Path is null && selector.Bus is null && NeverByChance.Contains(disk.Bus))
        {
            return "taken only when its path or bus is named";
        }
        if (disk.Bytes <= 0)
        {
            return "no medium";
        }
        if (selector.MinBytes is { } min && disk.Bytes < min)
        {
            return "too small";
        }
        if (selector.MaxBytes is { } max && disk.Bytes > max)
        {
            return "too large";
        }
        if (selector.Serial is { } serial && serial != disk.Serial?.Trim())
        {
            return "other serial";
        }
        return selector.Model is { } model && model != disk.Model?.Trim() ? "other model" : null;
    }

    /// <summary>The selection in words.</summary>
    public static string Describe(DiskSelector selector)
    {
        string?[] parts =
        [
            selector.Path is { } path ? $"path {path}" : null,
            selector.Bus is { } bus ? $"bus {bus}" : null,
            selector.MinBytes is { } min ? $"at least {min} bytes" : null,
            selector.MaxBytes is { } max ? $"at most {max} bytes" : null,
            selector.Serial is { } serial ? $"serial {serial}" : null,
            selector.Model is { } model ? $"model {model}" : null,
        ];
        var text = string.Join(", ", parts.Where(p => p is not null));
        return text.Length == 0 ? "any internal disk" : text;
    }
}

/// <summary>Orders <c>nvme2n1</c> before <c>nvme10n1</c>: runs of digits compare as numbers.</summary>
public sealed class NaturalOrder : IComparer<string>
{
    public static readonly NaturalOrder Comparer = new();

    public int Compare(string? x, string? y)
    {
        var (a, b) = (x ?? "", y ?? "");
        var (i, j) = (0, 0);
        while (i < a.Length && j < b.Length)
        {
            int order;
            if (char.IsAsciiDigit(a[i]) && char.IsAsciiDigit(b[j]))
            {
                var (m, n) = (Digits(a, ref i), Digits(b, ref j));
                order = m.Length != n.Length ? m.Length - n.Length : string.CompareOrdinal(m, n);
            }
            else
            {
                order = a[i++] - b[j++];
            }
            if (order != 0)
            {
                return order;
            }
        }
        return a.Length - i - (b.Length - j);
    }

    static string Digits(string text, ref int at)
    {
        var start = at;
        while (at < text.Length && char.IsAsciiDigit(text[at]))
        {
            at++;
        }
        return text[start..at].TrimStart('0');
    }
}
