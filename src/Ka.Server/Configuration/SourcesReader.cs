using System.Collections.Immutable;
using System.Net;
using Ka.Core.Documents;
using Ka.Server.Environments;
using Ka.Yaml;

namespace Ka.Server.Configuration;

/// <summary>Reads <c>sources</c> of the server's configuration.</summary>
static class SourcesReader
{
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
