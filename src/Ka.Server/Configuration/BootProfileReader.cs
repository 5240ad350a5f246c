using System.Collections.Immutable;
using Ka.Core.BootProfiles;
using Ka.Core.Documents;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Server.Environments;
using Ka.Yaml;

namespace Ka.Server.Configuration;

/// <summary>A boot profile as its document says it; files are still paths.</summary>
public sealed record BootProfileReading(NamedFile Kernel, NamedFile? Initrd, string Params, Location ParamsAt)
{
    public IEnumerable<string> Paths => new[] { Kernel.Path, Initrd?.Path }.OfType<string>().Distinct();
}

/// <summary>Reads the user's own boot profile: <c>kernel</c>, <c>initrd</c>, and <c>params</c> with <c>{{ node.name }}</c> in them; or one in PXELINUX's words.</summary>
public static class BootProfileReader
{
    public static (BootProfileReading? Reading, ImmutableArray<DocumentError> Errors) Read(string file, string text)
    {
        if (PxelinuxReader.IsOne(text))
            return PxelinuxReader.Read(file, text);
        if (!YamlReader.TryParse(file, text, YamlLimits.Default, out var root, out var errors))
            return (null, errors);
        var binder = new YamlBinder();
        var top = binder.Mapping(root, "the boot profile", "kernel", "initrd", "params");
        var (kernel, initrd, parameters) = (top.RequiredScalar("kernel"), top.OptionalScalar("initrd"), top.OptionalScalar("params"));
        // A folded block ends with a line break of its own.
        var line = parameters?.Text.TrimEnd('\n') ?? "";
        foreach (var error in NodeTemplate.Check(ProfileTemplate.Template(line)))
            binder.Refuse(top.PlaceOf("params"), FaultCodes.ProfileInvalid.Text, $"params, line {error.Line}, column {error.Column} of the template: {error.Message}");
        return binder.HasErrors || kernel is null
            ? (null, binder.Findings)
            : (new BootProfileReading(new(kernel.Text, kernel.At), initrd is null ? null : new(initrd.Text, initrd.At), line, top.PlaceOf("params")), binder.Findings);
    }
}
