namespace Ka.Agent.Machine;

/// <summary>The directories that the agent works in; tests put other ones in their place.</summary>
sealed record AgentPaths(
    string Sys = "/sys",
    string Proc = "/proc",
    string Dev = "/dev",
    string Run = "/run/ka",
    string Target = "/mnt/dest",
    string Home = "/root")
{
    /// <summary>Where scripts and their archives are unpacked.</summary>
    public string Scripts => Path.Combine(Run, "scripts");
}
