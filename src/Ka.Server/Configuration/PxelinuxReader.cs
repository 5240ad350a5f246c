using System.Collections.Immutable;
using Ka.Core.Documents;
using Ka.Core.Faults;
using Ka.Server.Environments;

namespace Ka.Server.Configuration;

/// <summary>
/// Reads a boot profile in the words of PXELINUX, as Kadeploy3's users wrote them: the default label's <c>KERNEL</c> or <c>LINUX</c>, <c>INITRD</c> and <c>APPEND</c>. A file is looked for
/// beside the profile; Kadeploy3's <c>FILES_PREFIX--</c> before its name is left out. What would be left out otherwise is refused.
/// </summary>
public static class PxelinuxReader
{
    const string Prefix = "FILES_PREFIX--";

    static readonly ImmutableArray<string> WithoutEffect = ["PROMPT", "TIMEOUT", "TOTALTIMEOUT", "SAY", "DISPLAY", "SERIAL", "MENU", "UI", "TEXT", "ENDTEXT", "NOESCAPE", "ALLOWOPTIONS"];

    /// <summary>One keyword with what follows it.</summary>
    sealed record Line(string Word, string Rest, Location At, int RestColumn)
    {
        public Location RestAt => At with { Column = RestColumn };
    }

    /// <summary>Whether a document begins as such a profile does and not as YAML.</summary>
    public static bool IsOne(string text) =>
        Lines("", text).FirstOrDefault() is { Word: "DEFAULT" or "LABEL" or "KERNEL" or "LINUX" or "PROMPT" or "TIMEOUT" or "SERIAL" or "SAY" or "DISPLAY" };

    public static (BootProfileReading? Reading, ImmutableArray<DocumentError> Errors) Read(string file, string text)
    {
        var errors = ImmutableArray.CreateBuilder<DocumentError>();
        var lines = Lines(file, text).ToArray();
        var name = lines.FirstOrDefault(l => l.Word == "DEFAULT")?.Rest;
        var labels = lines.Where(l => l.Word == "LABEL").ToArray();
        var begin = labels.Length == 0 ? 0 : Array.FindIndex(lines, l => l.Word == "LABEL" && (l.Rest == name || (name is null && labels.Length == 1))) + 1;
        if (labels.Length > 0 && begin == 0)
            return (null, [Error(labels[0], $"none of the {labels.Length} labels is the default one", "DEFAULT LABEL")]);
        Line? kernel = null, initrd = null, append = null;
        foreach (var line in lines.Skip(begin).TakeWhile(l => l.Word != "LABEL"))
            switch (line.Word)
            {
                case "KERNEL" or "LINUX":
                    kernel = line;
                    break;
                case "INITRD":
                    initrd = line;
                    break;
                case "APPEND":
                    append = line;
                    break;
                case "DEFAULT":
                    break;
                case var word when WithoutEffect.Contains(word):
                    break;
                default:
                    errors.Add(Error(line, $"'{DocumentError.Cut(line.Word)}' has no equivalent", "KERNEL, LINUX, INITRD and APPEND"));
                    break;
            }
        var words = (append?.Rest ?? "").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        if (words.FirstOrDefault(w => w.StartsWith("initrd=", StringComparison.Ordinal)) is { } inline)
            initrd = append! with { Rest = inline["initrd=".Length..] };
        if (initrd?.Rest.Contains(',') == true)
            errors.Add(Error(initrd, "there is more than one initrd", "one file"));
        if (kernel is null or { Rest: "" })
            errors.Add(new DocumentError(FaultCodes.ProfileInvalid.Text, new Location(file, 1, 1), "the profile names no kernel", Expected: "KERNEL FILE"));
        return errors.Count > 0
            ? (null, errors.ToImmutable())
            : (new BootProfileReading(Named(kernel!), initrd is null ? null : Named(initrd), string.Join(' ', words.Where(w => !w.StartsWith("initrd=", StringComparison.Ordinal))), append?.RestAt ?? kernel!.At), []);
    }

    static NamedFile Named(Line line) => new(line.Rest.StartsWith(Prefix, StringComparison.Ordinal) ? line.Rest[Prefix.Length..] : line.Rest, line.RestAt);

    static DocumentError Error(Line line, string message, string expected) => new(FaultCodes.ProfileInvalid.Text, line.At, message, Expected: expected);

    static IEnumerable<Line> Lines(string file, string text)
    {
        foreach (var (i, line) in text.Split('\n').Index())
        {
            var trimmed = line.Trim();
            if (trimmed.Length == 0 || trimmed.StartsWith('#'))
                continue;
            var column = line.IndexOf(trimmed, StringComparison.Ordinal);
            var end = trimmed.IndexOfAny([' ', '\t']);
            var rest = end < 0 ? "" : trimmed[end..].TrimStart();
            yield return new Line((end < 0 ? trimmed : trimmed[..end]).ToUpperInvariant(), rest, new Location(file, i + 1, column + 1), column + trimmed.Length - rest.Length + 1);
        }
    }
}
