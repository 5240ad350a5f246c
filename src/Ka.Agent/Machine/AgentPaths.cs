namespace Ka.Agent.Machine;

/// <summary>The directories that the agent works in; tests put other ones in their place.</summary>
sealed record AgentPaths(
    string Sys = "/sys",
    string Proc = "/proc",
    string Dev = "/dev",
    string Run = "/run/ka",
    string Target = "/mnt/dest",
    string Home = "/root",
    string OsRelease = "/etc/os-release",
    string EfiVariables = "/sys/firmware/efi/efivars")
{
    /// <summary>Whether the agent runs in Ka's own minimal environment and not in a system that somebody uses (os-release(5)).</summary>
    public bool InMinimalEnvironment => File.Exists(OsRelease) && File.ReadLines(OsRelease).Contains("ID=ka-minimal");

    /// <summary>Where scripts and their archives are unpacked.</summary>
    public string Scripts => Path.Combine(Run, "scripts");
}
