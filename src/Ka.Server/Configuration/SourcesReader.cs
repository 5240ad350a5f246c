using System.Collections.Immutable;
using System.Net;
using Ka.Core.Documents;
using Ka.Server.Environments;
using Ka.Yaml;

namespace Ka.Server.Configuration;

/// <summary>Reads <c>sources</c> and <c>limits: store</c> of the server's configuration.</summary>
static class SourcesReader
{
    /// <summary>Less than this holds not even a minimal image.</summary>
    const long LeastStore = 1 << 20;

    /// <summary>Bytes that the store may hold, or null.</summary>
    public static long? StoreLimit(YamlSection limits)
    {
        if (limits.OptionalText("store") is not { } text)
            return null;
        if (Quantity.TryParseSize(text, out var bytes) && bytes >= LeastStore)
            return bytes;
        limits.Refuse("store", SiteReader.Code, $"'{DocumentError.Cut(text)}' is no size of a store", $"{Quantity.SizeForm}, at least 1 MiB");
        return null;
    }

    public static SourcePolicy Read(YamlSection root)
    {
        var section = root.Section("sources", "allow", "largest");
        var allowed = ImmutableArray.CreateBuilder<IPNetwork>();
        foreach (var entry in section.ScalarList("allow"))
            if (IPNetwork.TryParse(entry.Text, out var network))
                allowed.Add(network);
            else
                section.Refuse("allow", SiteReader.Code, $"'{DocumentError.Cut(entry.Text)}' is no network", "ADDRESS/PREFIX such as 10.0.0.0/16, its address without bits behind the prefix");
        var largest = SourcePolicy.Default.Largest;
        if (section.OptionalText("largest") is { } text && !Quantity.TryParseSize(text, out largest))
            section.Refuse("largest", SiteReader.Code, $"'{DocumentError.Cut(text)}' is no size", Quantity.SizeForm);
        return new SourcePolicy(allowed.ToImmutable(), largest);
    }
}
