using System.Collections.Immutable;
using Ka.Core.Documents;
using Ka.Core.Environments;

namespace Ka.Core.BootProfiles;

/// <summary>A file of a boot profile.</summary>
/// <param name="Path">As the document names it.</param>
/// <param name="Sha256">Digest of its bytes in the file store.</param>
public sealed record ProfileFile(string Path, string Sha256, long Bytes);

/// <summary>A boot profile of the user's own before it is rendered for a node.</summary>
/// <param name="File">The document.</param>
/// <param name="Params">Template of the kernel line; nothing is added to it.</param>
/// <param name="ParamsAt">Where they stand: <c>FILE:LINE:COLUMN</c>.</param>
public sealed record ProfileTemplate(string File, ProfileFile Kernel, ProfileFile? Initrd, string Params, string ParamsAt)
{
    /// <summary>The parameters as a template, for a check before any node is known.</summary>
    public static TemplateFile Template(string parameters) => new("params", parameters, TemplateTarget.Text, 0);

    /// <summary>The kernel line of one node, or everything that is wrong with it.</summary>
    public bool TryRender(TemplateValues values, out KernelParameters parameters, out ImmutableArray<string> errors)
    {
        parameters = KernelParameters.None;
        errors = [];
        if (!NodeTemplate.TryRender(Template(Params), values, out var line, out var wrong))
            errors = [.. wrong.Select(e => $"{ParamsAt}: params, {e}")];
        else if (!KernelParameters.TryParse(line, out parameters, out var why))
            errors = [$"{ParamsAt}: params: {why}: '{DocumentError.Cut(line)}'"];
        return errors.IsEmpty;
    }
}
