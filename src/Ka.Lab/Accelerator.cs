namespace Ka.Lab;

/// <summary>/dev/kvm may exist and still boot nothing (a guest without nested virtualisation), so it is tried, not believed.</summary>
public static class Accelerator
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(6);

    /// <summary>
    /// "kvm" when a kernel boots under it within 6 s, else "tcg". The answer is kept in <paramref name="memory"/>; without a
    /// kernel to try, it is "tcg" and not kept.
    /// </summary>
    public static async Task<string> Find(string minimal, string memory, CancellationToken cancel)
    {
        var known = File.Exists(memory) ? (await File.ReadAllTextAsync(memory, cancel)).Trim() : "";
        if (known is "kvm" or "tcg")
            return known;
        if (!File.Exists("/dev/kvm"))
            return "tcg";
        if (Kernel(minimal) is not { } kernel)
            return "tcg";
        var probe = await Programs.Run(QemuCommandLine.Program, QemuCommandLine.Probe("kvm", kernel), Deadline, cancel);
        var found = probe.Output.Contains(QemuCommandLine.ProbeAnswer, StringComparison.Ordinal) ? "kvm" : "tcg";
        await File.WriteAllTextAsync(memory, found, cancel);
        return found;
    }

    private static string? Kernel(string minimal)
    {
        if (File.Exists($"{minimal}/vmlinuz"))
            return $"{minimal}/vmlinuz";
        return Directory.Exists("/boot") ? Directory.GetFiles("/boot", "vmlinuz-*").Order(StringComparer.Ordinal).LastOrDefault() : null;
    }
}
