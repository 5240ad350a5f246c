using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Ka.Core.Disks;
using Ka.Core.Documents;
using Ka.Core.Environments;

namespace Ka.Server.Environments;

/// <summary>A description with the files that it names, by their digests.</summary>
public sealed record WrittenDescription(string Text, ImmutableDictionary<string, string> Files);

/// <summary>Writes the description that would register an environment again, byte for byte the same.</summary>
public static class DescriptionWriter
{
    public static WrittenDescription Write(OsEnvironment environment)
    {
        var files = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        var text = new StringBuilder();
        Line("name", environment.Name);
        text.Append("version: ").Append(environment.Version).Append('\n');
        if (environment.Alias is { } alias)
            Line("alias", alias);
        Line("description", environment.Description);
        Line("author", environment.Author);
        Line("visibility", environment.Visibility.ToString().ToLowerInvariant());
        text.Append("destructive: ").Append(environment.Destructive ? "true" : "false").Append('\n');
        Line("os", environment.Os);
        Line("arch", environment.Arch);
        Map("labels", environment.Labels);
        var images = environment.Images();
        text.Append("image: ").Append(Image(images[0], "image", files)).Append('\n');
        if (images.Length > 1)
            text.Append("images:\n").AppendJoin("", images.Skip(1).Select((image, i) => $"  - {Image(image, $"image-{i + 2}", files)}\n"));
        if (environment.Image.Raw is null)
            Line("filesystem", environment.FileSystem.ToString().ToLowerInvariant());
        if (Boot(environment.Boot) is { } boot)
            text.Append("boot: ").Append(boot).Append('\n');
        if (Network(environment.Network) is { } network)
            Line("network", network);
        if (environment.PreInstall is { } pre)
            text.Append("preinstall: ").Append(Install(pre, "preinstall", files)).Append('\n');
        if (!environment.PostInstalls.IsEmpty)
            text.Append("postinstalls:\n").AppendJoin("", environment.PostInstalls.Select((post, i) => $"  - {Install(post, $"postinstall-{i + 1}", files)}\n"));
        Map("custom_variables", environment.Variables);
        if (!environment.Files.IsEmpty)
            text.Append("files:\n").AppendJoin("", environment.Files.Select(f => $"  {Quoted(f.Path)}: {Template(f)}\n"));
        return new WrittenDescription(text.ToString(), files.ToImmutable());

        void Line(string key, string value)
        {
            if (value.Length > 0)
                text.Append(key).Append(": ").Append(Quoted(value)).Append('\n');
        }

        void Map(string key, ImmutableSortedDictionary<string, string> values)
        {
            if (!values.IsEmpty)
                text.Append(key).Append(":\n").AppendJoin("", values.Select(v => $"  {Quoted(v.Key)}: {Quoted(v.Value)}\n"));
        }
    }

    static string Image(ImagePart part, string name, ImmutableDictionary<string, string>.Builder files)
    {
        var (image, raw) = (part.Image, part.Image.Raw);
        var given = raw?.SourceSha256 ?? image.Sha256;
        var kind = image.Kind == ImageKind.Tar ? "tar" : raw!.SourceSha256 is null ? "raw" : "qcow2";
        var compression = kind == "qcow2" ? ImageCompression.None : image.Compression;
        var fields = new List<(string, string)> { ("file", File(given, $"{name}.{(kind == "raw" ? "img" : kind)}{Ending(compression)}", files)), ("kind", kind), ("digest", "sha256:" + given) };
        if (kind != "qcow2")
            fields.Add(("compression", compression.ToString().ToLowerInvariant()));
        if (part.Partition is { } partition)
            fields.Add(("partition", partition));
        if (raw is not null)
        {
            fields.Add(("target", raw.Target.ToString().ToLowerInvariant()));
            fields.Add(("grow", raw.Grow ? "yes" : "no"));
            if (raw.Partitions?.Deploy().Number is { } root)
                fields.Add(("root", $"partition {root.ToString(CultureInfo.InvariantCulture)}"));
        }
        return Flow(fields);
    }

    static string? Boot(BootSpec boot)
    {
        var fields = new List<(string, string)>();
        if (boot.Kernel.Length > 0)
            fields.Add(("kernel", boot.Kernel));
        if (boot.Initrd is { } initrd)
            fields.Add(("initrd", initrd));
        if (!boot.Params.IsEmpty)
            fields.Add(("params", string.Join(' ', boot.Params)));
        if (Loader(boot.Loader) is { } loader)
            fields.Add(("loader", loader));
        return fields.Count == 0 ? null : Flow(fields);
    }

    internal static string? Loader(BootLoader loader) => loader switch
    {
        BootLoader.Auto => null,
        BootLoader.Grub => "grub",
        BootLoader.SystemdBoot => "systemd-boot",
    };

    internal static string? Network(NetworkStack network) => network switch
    {
        NetworkStack.None => null,
        NetworkStack.SystemdNetworkd => "systemd-networkd",
        NetworkStack.Ifupdown => "ifupdown",
        NetworkStack.NetworkManager => "networkmanager",
    };

    static string Install(PostInstall install, string name, ImmutableDictionary<string, string>.Builder files)
    {
        var fields = new List<(string, string)>();
        if (install.ArchiveSha256 is { } archive)
        {
            fields.Add(("archive", File(archive, $"{name}.tar{Ending(install.Compression)}", files)));
            fields.Add(("compression", install.Compression.ToString().ToLowerInvariant()));
            fields.Add(("run", install.Command.IsEmpty ? "none" : string.Join(' ', install.Command)));
        }
        else
            fields.Add(("run", string.Join(' ', install.Command.Prepend(File(install.ScriptSha256!, name + ".script", files)))));
        fields.Add(("timeout", $"{((long)install.Timeout.TotalMilliseconds).ToString(CultureInfo.InvariantCulture)}ms"));
        return Flow(fields);
    }

    static string Template(TemplateFile file) => Flow(
        [("text", file.Text), ("escape", Escape(file.Target)), ("mode", Convert.ToString(file.Mode, 8).PadLeft(4, '0'))]);

    internal static string Escape(TemplateTarget target) => target switch
    {
        TemplateTarget.Text => "text",
        TemplateTarget.Shell => "shell",
        TemplateTarget.Json => "json",
    };

    static string File(string sha256, string name, ImmutableDictionary<string, string>.Builder files)
    {
        files[name] = sha256;
        return name;
    }

    static string Ending(ImageCompression compression) => compression switch
    {
        ImageCompression.None => "",
        ImageCompression.Gzip => ".gz",
        ImageCompression.Bzip2 => ".bz2",
        ImageCompression.Xz => ".xz",
        ImageCompression.Zstd => ".zst",
        ImageCompression.Lz4 => ".lz4",
    };

    static string Flow(IEnumerable<(string Key, string Value)> fields) => "{ " + string.Join(", ", fields.Select(f => $"{f.Key}: {Quoted(f.Value)}")) + " }";

    /// <summary>A double-quoted scalar (YAML 1.2, 7.3.1): everything that is no plain printable character is escaped.</summary>
    static string Quoted(string text)
    {
        var quoted = new StringBuilder("\"");
        foreach (var c in text)
            _ = c switch
            {
                '"' or '\\' => quoted.Append('\\').Append(c),
                '\n' => quoted.Append("\\n"),
                '\t' => quoted.Append("\\t"),
                _ when char.IsControl(c) || c is '\u2028' or '\u2029' or '\ufeff' => quoted.Append("\\u").Append(((int)c).ToString("x4", CultureInfo.InvariantCulture)),
                _ => quoted.Append(c),
            };
        return quoted.Append('"').ToString();
    }
}
