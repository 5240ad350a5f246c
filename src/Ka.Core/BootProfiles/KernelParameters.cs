using System.Collections.Immutable;
using Ka.Core.Documents;

namespace Ka.Core.BootProfiles;

/// <summary>One parameter as the kernel takes it apart: <c>quiet</c>, <c>root=/dev/sda1</c>, <c>dyndbg="file a +p"</c>.</summary>
/// <param name="Text">As written, quotes included.</param>
public sealed record KernelParameter(string Text)
{
    /// <summary>The name, with <c>-</c> and <c>_</c> made equal as the kernel does.</summary>
    public string Name
    {
        get
        {
            var plain = Unquoted;
            var equals = plain.IndexOf('=');
            return (equals < 0 ? plain : plain[..equals]).Replace('-', '_');
        }
    }

    /// <summary>The text without its quotes.</summary>
    public string Unquoted => Text.Replace("\"", "");
}

/// <summary>
/// A list of kernel parameters. Whatever it holds can be carried by iPXE, PXELINUX and the kernel unchanged: printable ASCII only, quotes
/// balanced, no <c>${</c> (which iPXE expands and offers no way to write), no <c>initrd</c> (the loader's own), at most
/// <see cref="MaxLength"/> characters.
/// </summary>
public sealed record KernelParameters
{
    /// <summary>One less than the kernel's COMMAND_LINE_SIZE on x86 (2048), less 47 for what the loader adds.</summary>
    public const int MaxLength = 2000;

    /// <summary>Parameters that may stand several times; all others replace an earlier one of the same name.</summary>
    private static readonly HashSet<string> Repeatable =
        ["console", "earlycon", "memmap", "hugepages", "hugepagesz", "modprobe.blacklist", "module_blacklist", "nameserver", "systemd.mask", "systemd.wants", "rd.break", "ip"];

    private KernelParameters(ImmutableArray<KernelParameter> items) => Items = items;

    /// <summary>No parameter.</summary>
    public static KernelParameters None { get; } = new([]);

    /// <summary>The parameters in order.</summary>
    public ImmutableArray<KernelParameter> Items { get; }

    /// <summary>Takes a line apart by the kernel's rule: blanks separate, except between double quotes.</summary>
    /// <param name="error">One sentence, when false is returned.</param>
    public static bool TryParse(string text, out KernelParameters parameters, out string error)
    {
        parameters = None;
        error = Objection(text) ?? "";
        if (error.Length > 0)
        {
            return false;
        }

        var items = ImmutableArray.CreateBuilder<KernelParameter>();
        var (begin, quoted) = (0, false);
        for (var i = 0; i <= text.Length; i++)
        {
            quoted ^= i < text.Length && text[i] == '"';
            if (i < text.Length && (quoted || text[i] != ' '))
            {
                continue;
            }

            if (i > begin)
            {
                items.Add(new(text[begin..i]));
            }

            begin = i + 1;
        }

        if (quoted)
        {
            error = "a double quote is not closed";
            return false;
        }

        if (items.FirstOrDefault(item => item.Name == "initrd") is { } initrd)
        {
            error = $"'{DocumentError.Cut(initrd.Text)}' is the boot loader's own parameter";
            return false;
        }

        parameters = new(items.ToImmutable());
        return true;
    }

    /// <summary>Takes parameters written in the program or a test. Throws <see cref="FormatException"/> when they are none.</summary>
    public static KernelParameters Parse(string text) =>
        TryParse(text, out var parameters, out var error) ? parameters : throw new FormatException(error);

    /// <summary>
    /// These parameters overridden by others. One of the same name is replaced in its place, unless the name may repeat: then the
    /// new one comes after, and an exact twin is dropped. From a <c>--</c> on, words belong to init and are only appended.
    /// </summary>
    public KernelParameters With(KernelParameters others)
    {
        var (mine, forInit) = Halves(Items);
        var (theirs, moreForInit) = Halves(others.Items);
        var merged = mine.ToList();
        foreach (var parameter in theirs)
        {
            var repeats = Repeatable.Contains(parameter.Name);
            var at = merged.FindIndex(known => repeats ? known == parameter : known.Name == parameter.Name);
            if (at < 0)
            {
                merged.Add(parameter);
            }
            else
            {
                merged[at] = parameter;
            }
        }

        ImmutableArray<KernelParameter> init = [.. forInit.Length > 0 ? forInit : moreForInit[..Math.Min(1, moreForInit.Length)], .. moreForInit.Skip(1)];
        return new([.. merged, .. init]);
    }

    /// <summary>Whether a parameter of this name is set.</summary>
    public bool Has(string name) => Items.Any(item => item.Name == name.Replace('-', '_'));

    /// <summary>The line for the kernel, one blank between parameters.</summary>
    public override string ToString() => string.Join(' ', Items.Select(item => item.Text));

    /// <summary>Same parameters in the same order.</summary>
    public bool Equals(KernelParameters? other) => other is not null && Items.SequenceEqual(other.Items);

    /// <inheritdoc/>
    public override int GetHashCode() => ToString().GetHashCode(StringComparison.Ordinal);

    private static string? Objection(string text)
    {
        if (text.Length > MaxLength)
        {
            return $"the parameters have {text.Length} characters, the limit is {MaxLength}";
        }

        var bad = text.AsSpan().IndexOfAnyExceptInRange(' ', '~');
        if (bad >= 0)
        {
            return $"the character U+{(int)text[bad]:X4} at position {bad + 1} may not stand in a kernel parameter";
        }

        return text.Contains("${") ? "'${' may not stand in a kernel parameter, because iPXE would expand it" : null;
    }

    private static (KernelParameter[] Kernel, KernelParameter[] Init) Halves(ImmutableArray<KernelParameter> items)
    {
        var at = items.IndexOf(new KernelParameter("--"));
        return at < 0 ? ([.. items], []) : ([.. items[..at]], [.. items[at..]]);
    }
}
