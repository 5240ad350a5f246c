using System.Collections.Immutable;
using System.Text.Json.Serialization;

namespace Ka.Protocol.Manifests;

/// <summary>One thing in which a disk is not what was packed. Texts are printable: <see cref="ByteText.Printable"/>.</summary>
/// <param name="Kind"><c>missing</c>, <c>extra</c>, <c>changed</c> or <c>unreadable</c>.</param>
/// <param name="What"><c>type</c>, <c>mode</c>, <c>owner</c>, <c>size</c>, <c>content</c>, <c>target</c>, <c>device</c>, <c>links</c> or <c>attribute NAME</c>; empty for a whole file.</param>
public sealed record VerifyDifference(string Path, string Kind, string What, string? Expected, string? Found)
{
    public override string ToString() => (Kind, What) switch
    {
        ("missing" or "extra", _) => $"{Kind} {Path}",
        _ => $"{Kind} {Path}: {What} expected {Expected ?? "none"}, found {Found ?? "none"}",
    };
}

/// <summary>What comparing a file system with a manifest came to; what <c>ka-agent verify</c> prints as JSON.</summary>
/// <param name="Image">SHA-256 of the image that the manifest belongs to.</param>
/// <param name="Mode"><c>sample</c> or <c>full</c>.</param>
/// <param name="Compared">Names whose type, owner, mode, size, links and attributes were compared.</param>
/// <param name="Read">Files whose content was compared, and their bytes.</param>
/// <param name="Ignored">Names left out because the deployment itself changes them.</param>
/// <param name="Hidden">Names left out because another file system is mounted over them.</param>
/// <param name="Differing">All differences, also those beyond <see cref="DifferenceLimit"/>.</param>
public sealed record VerifyReport(
    string Root,
    string Image,
    string Mode,
    bool Same,
    long Compared,
    long Read,
    long ReadBytes,
    long Ignored,
    long Hidden,
    long Milliseconds,
    long Differing,
    ImmutableArray<VerifyDifference> Differences)
{
    /// <summary>Most differences that a report lists; the rest is counted.</summary>
    public const int DifferenceLimit = 200;
}

/// <summary>JSON of the report.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, AllowDuplicateProperties = false)]
[JsonSerializable(typeof(VerifyReport))]
public sealed partial class VerifyJson : JsonSerializerContext;
