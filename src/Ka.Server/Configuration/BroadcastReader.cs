using System.Collections.Immutable;
using System.Globalization;
using Ka.Core.Clusters;
using Ka.Core.Documents;
using Ka.Yaml;

namespace Ka.Server.Configuration;

/// <summary>Reads <c>broadcast</c> of a cluster file: what the ways to broadcast that need settings need.</summary>
static class BroadcastReader
{
    const int PortByDefault = 8484;
    const long RateByDefault = 400_000_000;

    /// <param name="folder">Where a relative path of the site's program begins.</param>
    public static BroadcastSettings Read(YamlBinder binder, YamlSection file, string folder)
    {
        var section = file.Section("broadcast", "multicast", "custom");
        return new BroadcastSettings(
            section.Has("multicast") ? Multicast(section.Section("multicast", "group", "port", "ttl", "rate")) : null,
            section.Has("custom") ? Custom(section, folder) : null);
    }

    static MulticastSettings Multicast(YamlSection section)
    {
        var group = section.RequiredText("group");
        if (group.Length > 0 && !MulticastSettings.IsGroup(group))
            section.Refuse("group", SiteReader.Code, $"'{DocumentError.Cut(group)}' is no multicast address", "an IPv4 address from 224.0.0.0 to 239.255.255.255, such as 239.192.75.1");
        var rate = section.OptionalText("rate");
        if (rate is not null && RateOf(rate) is null)
            section.Refuse("rate", SiteReader.Code, $"'{DocumentError.Cut(rate)}' is no rate", "a number with its unit from 1mbit to 100gbit, such as 400mbit");
        return new MulticastSettings(group, section.Int("port", 1, 65535, PortByDefault), section.Int("ttl", 1, 255, 1), rate is null ? RateByDefault : RateOf(rate) ?? RateByDefault);
    }

    /// <summary>Bits per second as tc(8) writes them; null when it is none.</summary>
    static long? RateOf(string text)
    {
        var unit = text.EndsWith("gbit", StringComparison.Ordinal) ? 1_000_000_000L : text.EndsWith("mbit", StringComparison.Ordinal) ? 1_000_000L : 0;
        return unit > 0 && int.TryParse(text[..^4], NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count > 0 && count * unit <= 100_000_000_000L ? count * unit : null;
    }

    static CustomBroadcastSettings Custom(YamlSection section, string folder)
    {
        var words = section.TextList("custom");
        if (words.IsEmpty)
            section.Refuse("custom", SiteReader.Code, "the site's program has no name", "custom: [PROGRAM, ARGUMENT…], as in [bring.sh, \"{image}\", \"{nodes}\", \"{destination}\"]");
        foreach (var word in words.Skip(1))
            if (CustomCommand.Unknown(word) is { } unknown)
                section.Refuse("custom", SiteReader.Code, $"'{DocumentError.Cut(word)}' asks for '{unknown}', which is not known", string.Join(", ", CustomCommand.Words.Select(w => "{" + w + "}")));
        return new CustomBroadcastSettings(words.IsEmpty ? [] : [Path.GetFullPath(words[0], folder), .. words.Skip(1)]);
    }
}
